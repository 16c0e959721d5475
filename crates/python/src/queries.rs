//! What a collection holds, without a query: records in an order, counts by value.

use database::{Direction, Key, OrderBy};
use pyo3::prelude::*;

use crate::collection::{Collection, filter};
use crate::convert;
use crate::damage;
use crate::errors::{Kind, OrRaise};
use crate::record::Record;
use crate::threads;

#[pymethods]
impl Collection {
    /// The records that match `where`, or all: in the order of what they have under `order_by`, or
    /// in that in which the collection is iterated. The first `offset` are left out, at most `limit`
    /// are returned; None is no limit.
    ///
    /// `order_by` is a key as in `where`: of the metadata, with dots into nested objects, or `$id`,
    /// `$source`, `$line`. All kinds of values are in one order: None, False, True, numbers, strings
    /// (dates and times in ISO 8601 form by the moment they name, others by code point), lists by
    /// their first elements that differ, dicts. `descending=True` turns it round. Records without
    /// the key come last in both directions, and equal values are in the order of iteration. Writes
    /// between two calls may move records from one page to another. Raises FilterError for an unknown
    /// key or a condition that means nothing, ArgumentError for `descending` without `order_by`.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     years = [{"year": 2021}, {"year": 1999}, None, {"year": 2024}]
    /// ...     _ = items.upsert(["a", "b", "c", "d"], [[1, 0]] * 4, metadata=years)
    /// ...     newest = items.find(order_by="year", descending=True, limit=2)
    /// ...     since = items.find({"year": {"$gte": 2000}}, order_by="year")
    /// >>> [record.id for record in newest], [record.id for record in since]
    /// (['d', 'a'], ['a', 'd'])
    #[pyo3(signature = (
        r#where = None, *, order_by = None, descending = false, offset = 0, limit = None
    ))]
    fn find(
        &self,
        py: Python<'_>,
        r#where: Option<&Bound<'_, PyAny>>,
        order_by: Option<&str>,
        descending: bool,
        #[pyo3(from_py_with = convert::count)] offset: usize,
        #[pyo3(from_py_with = convert::optional_count)] limit: Option<usize>,
    ) -> PyResult<Vec<Record>> {
        if descending && order_by.is_none() {
            return Err(Kind::Argument.error("descending needs order_by"));
        }
        let filter = filter(r#where)?;
        let direction = if descending { Direction::Descending } else { Direction::Ascending };
        let order = order_by.map(key).transpose()?.map(|key| OrderBy { key, direction });
        let limit = limit.unwrap_or(usize::MAX);
        let find = || self.inner.find(filter.as_ref(), order.as_ref(), offset, limit);
        let records = threads::run(py, find)?.or_raise()?;
        damage::warn(py, &self.inner)?;
        let schema = self.inner.schema();
        Ok(records.into_iter().map(|record| Record::of(record, schema)).collect())
    }

    /// How many records, of those that match `where` or of all, have each value of a key:
    /// `[(value, count), ...]`, the largest count first, equal counts in the order of `find`.
    ///
    /// `key` is one as in `where`. A list counts once for each distinct element, as `$contains`
    /// would find it; records without the key count nowhere. Equal values are one, as for `$eq`: 1
    /// and 1.0 are, 1 and True or two ways to write a moment are not. `limit` leaves out all but
    /// the largest counts. Raises FilterError for an unknown key, ArgumentError for a limit of 0.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     tags = [{"tags": ["new", "red"]}, {"tags": ["red"]}, {"tags": "blue"}]
    /// ...     _ = items.upsert([1, 2, 3], [[1, 0]] * 3, metadata=tags)
    /// ...     items.facet("tags")
    /// [('red', 2), ('blue', 1), ('new', 1)]
    #[pyo3(signature = (key, *, r#where = None, limit = None))]
    fn facet<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        r#where: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = convert::optional_count)] limit: Option<usize>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u64)>> {
        if limit == Some(0) {
            return Err(Kind::Argument.error("the limit must be at least 1"));
        }
        let key = self::key(key)?;
        let filter = filter(r#where)?;
        let facet = || self.inner.facet(&key, filter.as_ref()).map(|counts| counts.into_sorted());
        let counts = threads::run(py, facet)?.or_raise()?;
        damage::warn(py, &self.inner)?;
        let counts = counts.into_iter().take(limit.unwrap_or(usize::MAX));
        counts.map(|(value, count)| Ok((convert::json_to_python(py, &value)?, count))).collect()
    }
}

/// A key of records.
pub(crate) fn key(name: &str) -> PyResult<Key> {
    Key::parse(name).map_err(|error| Kind::Filter.error(error.to_string()))
}
