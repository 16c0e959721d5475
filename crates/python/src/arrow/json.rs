//! Columns of any type that JSON has a place for, as metadata.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};
use serde_json::{Map, Number, Value};

/// A column made ready to give JSON values.
pub(super) enum JsonColumn {
    Null,
    Bool(BooleanArray),
    Int(Int64Array),
    UInt(UInt64Array),
    Float(Float64Array),
    Text(LargeStringArray),
    List(Option<NullBuffer>, Spans, Box<JsonColumn>),
    /// Of objects whose keys are the same in each row.
    Struct(Option<NullBuffer>, Vec<(String, JsonColumn)>),
    /// Of objects with keys of their own.
    Map(Option<NullBuffer>, Spans, LargeStringArray, Box<JsonColumn>),
}

/// Which elements belong to a row of lists.
pub(super) enum Spans {
    /// Row r has elements `ends[r]..ends[r + 1]`.
    Between(Vec<usize>),
    /// Each row has so many.
    Each(usize),
}

impl Spans {
    fn of(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            Spans::Between(ends) => ends[row]..ends[row + 1],
            Spans::Each(size) => row * size..(row + 1) * size,
        }
    }
}

/// The elements that some rows of lists speak of, and where each row's are among them.
pub(super) fn elements<O: Copy + TryInto<usize>>(
    offsets: &[O],
    values: &ArrayRef,
) -> (Vec<usize>, ArrayRef) {
    // Offsets of an array are not negative, and within its values.
    let of = |offset: &O| (*offset).try_into().unwrap_or_default();
    let first = offsets.first().map_or(0, of);
    let ends: Vec<usize> = offsets.iter().map(|offset| of(offset) - first).collect();
    let length = ends.last().copied().unwrap_or_default();
    (ends, values.slice(first, length))
}

impl JsonColumn {
    /// # Errors
    /// Where the type has no place in JSON: says which type.
    pub(super) fn new(array: &ArrayRef) -> Result<JsonColumn, String> {
        let failed = |error: ArrowError| error.to_string();
        let nulls = array.nulls().cloned();
        Ok(match array.data_type() {
            DataType::Null => JsonColumn::Null,
            DataType::Boolean => JsonColumn::Bool(array.as_boolean().clone()),
            DataType::Dictionary(_, values) => {
                JsonColumn::new(&cast(array, values).map_err(failed)?)?
            }
            kind if kind.is_unsigned_integer() => {
                let numbers = cast(array, &DataType::UInt64).map_err(failed)?;
                JsonColumn::UInt(numbers.as_primitive::<UInt64Type>().clone())
            }
            kind if kind.is_signed_integer() => {
                let numbers = cast(array, &DataType::Int64).map_err(failed)?;
                JsonColumn::Int(numbers.as_primitive::<Int64Type>().clone())
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let numbers = cast(array, &DataType::Float64).map_err(failed)?;
                JsonColumn::Float(numbers.as_primitive::<Float64Type>().clone())
            }
            // Dates and times become text in ISO 8601 form, which filters compare by the moment.
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..) => {
                let texts = cast(array, &DataType::LargeUtf8).map_err(failed)?;
                JsonColumn::Text(texts.as_string::<i64>().clone())
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let (ends, values) = elements(list.value_offsets(), list.values());
                JsonColumn::list(nulls, Spans::Between(ends), &values)?
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let (ends, values) = elements(list.value_offsets(), list.values());
                JsonColumn::list(nulls, Spans::Between(ends), &values)?
            }
            DataType::FixedSizeList(..) => {
                let list = array.as_fixed_size_list();
                let size = list.value_length() as usize;
                JsonColumn::list(nulls, Spans::Each(size), list.values())?
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().zip(array.as_struct().columns());
                let columns = columns.map(|(field, column)| {
                    JsonColumn::new(column).map(|column| (field.name().clone(), column))
                });
                JsonColumn::Struct(nulls, columns.collect::<Result<_, _>>()?)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let (ends, keys) = elements(map.value_offsets(), map.keys());
                let (_, values) = elements(map.value_offsets(), map.values());
                if !super::column::is_text(keys.data_type()) {
                    return Err(format!("has keys of type {}, not strings", keys.data_type()));
                }
                let keys = cast(&keys, &DataType::LargeUtf8).map_err(failed)?;
                let keys = keys.as_string::<i64>().clone();
                let values = Box::new(JsonColumn::new(&values)?);
                JsonColumn::Map(nulls, Spans::Between(ends), keys, values)
            }
            other => return Err(format!("is {other}, for which JSON has no value: cast it")),
        })
    }

    fn list(
        nulls: Option<NullBuffer>,
        spans: Spans,
        values: &ArrayRef,
    ) -> Result<JsonColumn, String> {
        Ok(JsonColumn::List(nulls, spans, Box::new(JsonColumn::new(values)?)))
    }

    /// Whether rows are objects.
    pub(super) fn gives_objects(&self) -> bool {
        matches!(self, JsonColumn::Null | JsonColumn::Struct(..) | JsonColumn::Map(..))
    }

    /// A row's value; `None` where it is null.
    ///
    /// # Errors
    /// For a number that JSON has no form for.
    pub(super) fn value(&self, row: usize) -> Result<Option<Value>, String> {
        let present = |nulls: &Option<NullBuffer>| match nulls {
            Some(nulls) => nulls.is_valid(row),
            None => true,
        };
        Ok(match self {
            JsonColumn::Null => None,
            JsonColumn::Bool(array) => array.is_valid(row).then(|| array.value(row).into()),
            JsonColumn::Int(array) => array.is_valid(row).then(|| array.value(row).into()),
            JsonColumn::UInt(array) => array.is_valid(row).then(|| array.value(row).into()),
            JsonColumn::Text(array) => array.is_valid(row).then(|| array.value(row).into()),
            JsonColumn::Float(array) if array.is_null(row) => None,
            JsonColumn::Float(array) => {
                let number = array.value(row);
                let json = Number::from_f64(number);
                Some(json.ok_or_else(|| format!("{number} is not JSON; use null"))?.into())
            }
            JsonColumn::List(nulls, spans, values) if present(nulls) => {
                let items = spans.of(row).map(|index| values.value(index));
                let items = items.map(|item| item.map(|item| item.unwrap_or(Value::Null)));
                Some(Value::Array(items.collect::<Result<_, _>>()?))
            }
            JsonColumn::Struct(nulls, columns) if present(nulls) => {
                let mut object = Map::new();
                for (key, column) in columns {
                    if let Some(value) = column.value(row)? {
                        object.insert(key.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
            JsonColumn::Map(nulls, spans, keys, values) if present(nulls) => {
                let mut object = Map::new();
                for index in spans.of(row) {
                    let value = values.value(index)?.unwrap_or(Value::Null);
                    object.insert(keys.value(index).to_owned(), value);
                }
                Some(Value::Object(object))
            }
            JsonColumn::List(..) | JsonColumn::Struct(..) | JsonColumn::Map(..) => None,
        })
    }
}
