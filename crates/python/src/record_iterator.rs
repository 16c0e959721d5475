//! Going through all records of a collection.

use std::sync::{Mutex, PoisonError};
use std::vec;

use database::{Collection, Cursor, Record as Stored};
use pyo3::prelude::*;

use crate::damage;
use crate::errors::OrRaise;
use crate::record::Record;

/// Records read at a time.
const PAGE_RECORDS: usize = 256;

/// Goes through all records of a collection, a page at a time.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct RecordIterator {
    collection: Collection,
    state: Mutex<Scan>,
}

struct Scan {
    page: vec::IntoIter<Stored>,
    next: Next,
}

enum Next {
    Page(Option<Cursor>),
    End,
}

impl RecordIterator {
    pub(crate) fn new(collection: Collection) -> RecordIterator {
        let scan = Scan { page: Vec::new().into_iter(), next: Next::Page(None) };
        RecordIterator { collection, state: Mutex::new(scan) }
    }
}

#[pymethods]
impl RecordIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Record>> {
        let next = || -> database::Result<Option<Stored>> {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if let Some(record) = state.page.next() {
                    return Ok(Some(record));
                }
                let Next::Page(cursor) = std::mem::replace(&mut state.next, Next::End) else {
                    return Ok(None);
                };
                let page = self.collection.scan(cursor, PAGE_RECORDS, None)?;
                state.page = page.records.into_iter();
                state.next = page.next.map_or(Next::End, |cursor| Next::Page(Some(cursor)));
            }
        };
        let record = py.detach(next).or_raise()?;
        if record.is_none() {
            damage::warn(py, &self.collection)?;
        }
        Ok(record.map(|record| Record::of(record, self.collection.schema())))
    }
}
