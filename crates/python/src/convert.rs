//! Ids, metadata and filters between Python objects and ours.

use std::fmt::{self, Display, Formatter};

use database::Id;
use numpy::{PyArray1, PyArrayMethods, PyUntypedArray};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple,
};
use serde_json::{Map, Value};

use crate::errors::Kind;

/// Deeper nesting than this is refused before it can exhaust a stack.
const MAX_DEPTH: usize = 100;

/// A count that a caller gives, such as a limit.
pub(crate) fn count(object: &Bound<'_, PyAny>) -> PyResult<usize> {
    object.extract::<usize>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(object.py()) {
            Kind::Argument.error(format!("{object} is not a number from 0 to 2^64 - 1"))
        } else {
            error
        }
    })
}

/// [`count`] of an argument that may be left out.
pub(crate) fn optional_count(object: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    if object.is_none() { Ok(None) } else { count(object).map(Some) }
}

/// One id: an `int` of 64 bits or a `str`.
pub(crate) fn id(object: &Bound<'_, PyAny>) -> PyResult<Id> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Id::from(text.to_str()?));
    }
    if !object.is_instance_of::<PyBool>() {
        match object.extract::<i64>() {
            Ok(number) => return Ok(Id::Int(number)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                return Err(Kind::Argument.error(format!("id {object} does not fit 64 bits")));
            }
            Err(_) => {}
        }
    }
    Err(PyTypeError::new_err(format!("an id is an int or a str, not {}", type_name(object))))
}

/// Many ids, or one.
pub(crate) fn ids(object: &Bound<'_, PyAny>) -> PyResult<Vec<Id>> {
    let is_array = object.is_instance_of::<PyUntypedArray>();
    if object.is_instance_of::<PyString>() || (object.hasattr("__index__")? && !is_array) {
        return Ok(vec![id(object)?]);
    }
    if object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>() {
        return Err(PyTypeError::new_err(format!("ids are int or str, not {}", type_name(object))));
    }
    if let Ok(array) = object.cast::<PyArray1<i64>>() {
        return Ok(array.readonly().as_array().iter().map(|&number| Id::Int(number)).collect());
    }
    let items = object.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("ids are int or str, not {}", type_name(object)))
    })?;
    items.map(|item| id(&item?)).collect()
}

pub(crate) fn id_to_python<'py>(py: Python<'py>, id: &Id) -> PyResult<Bound<'py, PyAny>> {
    Ok(match id {
        Id::Int(number) => number.into_pyobject(py)?.into_any(),
        Id::Str(text) => text.as_ref().into_pyobject(py)?.into_any(),
    })
}

/// The name of an object's type, for messages.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

/// Where a value stands, for messages: written out only where something is wrong with it.
#[derive(Clone, Copy)]
enum Whereabouts<'a> {
    Argument(&'a dyn Display),
    Key(&'a Whereabouts<'a>, &'a str),
    Element(&'a Whereabouts<'a>, usize),
}

impl Display for Whereabouts<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Whereabouts::Argument(what) => what.fmt(formatter),
            Whereabouts::Key(object, key) => write!(formatter, "{object}[{key:?}]"),
            Whereabouts::Element(list, index) => write!(formatter, "{list}[{index}]"),
        }
    }
}

/// A JSON object from a mapping; `what` names it in messages.
pub(crate) fn json_object(object: &Bound<'_, PyAny>, what: impl Display) -> PyResult<Value> {
    if object.cast::<PyMapping>().is_err() {
        return Err(PyTypeError::new_err(format!(
            "{what} must be a dict, not {}",
            type_name(object)
        )));
    }
    json(object, &Whereabouts::Argument(&what), 0)
}

/// A JSON value.
fn json(object: &Bound<'_, PyAny>, what: &Whereabouts<'_>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        return Err(Kind::Argument.error(format!("{what} is nested deeper than {MAX_DEPTH}")));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if object.is_instance_of::<PyInt>() {
        if let Ok(number) = object.extract::<i64>() {
            return Ok(number.into());
        }
        return object
            .extract::<u64>()
            .map(Value::from)
            .map_err(|_| Kind::Argument.error(format!("{what}: {object} does not fit 64 bits")));
    }
    if object.is_instance_of::<PyFloat>() {
        let number: f64 = object.extract()?;
        return serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(|| {
            Kind::Argument.error(format!("{what}: {number} is not JSON; use None"))
        });
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let mut map = Map::new();
        for item in mapping.items()?.iter() {
            let (key, value) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let Ok(key) = key.cast::<PyString>() else {
                return Err(PyTypeError::new_err(format!(
                    "{what}: keys must be str, not {}",
                    type_name(&key)
                )));
            };
            let key = key.to_str()?;
            map.insert(key.to_owned(), json(&value, &Whereabouts::Key(what, key), depth + 1)?);
        }
        return Ok(Value::Object(map));
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.enumerate();
        return items
            .map(|(index, item)| json(&item?, &Whereabouts::Element(what, index), depth + 1))
            .collect::<PyResult<Vec<Value>>>()
            .map(Value::Array);
    }
    // NumPy's scalars and arrays give Python's own.
    if object.hasattr("tolist")? && object.hasattr("dtype")? {
        return json(&object.call_method0("tolist")?, what, depth + 1);
    }
    Err(PyTypeError::new_err(format!(
        "{what} is a {}, which is not JSON (dict, list, str, int, float, bool, None)",
        type_name(object)
    )))
}

pub(crate) fn json_to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, Some(number)) => number.into_pyobject(py)?.into_any(),
            (None, None) => number.as_f64().into_pyobject(py)?,
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => {
            let items: Vec<_> =
                items.iter().map(|item| json_to_python(py, item)).collect::<PyResult<_>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            for (key, value) in map {
                dict.set_item(key, json_to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

/// [`borrowed_texts`], copied.
pub(crate) fn texts(object: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    texts_from(object, 0)
}

/// [`texts`] whose first one is called number `first` in messages.
pub(crate) fn texts_from(object: &Bound<'_, PyAny>, first: usize) -> PyResult<Vec<String>> {
    each_text(object, first, |text| Ok(text.to_str()?.to_owned()))
}

/// Texts from a `str` (one text) or from anything that gives `str`s, read where the interpreter keeps
/// them: other threads may use them without the GIL.
pub(crate) fn borrowed_texts(object: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedStr>> {
    each_text(object, 0, |text| PyBackedStr::try_from(text.clone()))
}

fn each_text<T>(
    object: &Bound<'_, PyAny>,
    first: usize,
    take: impl Fn(&Bound<'_, PyString>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(vec![take(text)?]);
    }
    let items = object
        .try_iter()
        .map_err(|_| PyTypeError::new_err(format!("texts are str, not {}", type_name(object))))?;
    let one = |(index, item): (usize, PyResult<Bound<'_, PyAny>>)| {
        let item = item?;
        match item.cast::<PyString>() {
            Ok(text) => take(text),
            Err(_) => Err(PyTypeError::new_err(format!(
                "text {} is a {}, not a str",
                first + index,
                type_name(&item)
            ))),
        }
    };
    items.enumerate().map(one).collect()
}
