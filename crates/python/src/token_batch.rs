//! The tokens of many texts.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PySlice;

/// The tokens of texts, one row behind the other in flat arrays; what `Tokenizer.encode` gives.
///
/// Row r is `ids[splits[r]:splits[r + 1]]`, and so are its `type_ids` and `offsets`. That is also the
/// layout of an Arrow list array: `pyarrow.LargeListArray.from_arrays(batch.splits, batch.ids)`
/// shares the memory.
///
/// >>> import rust_ai_core as rac
/// >>> batch = rac.Tokenizer("minilm").encode(["a cat", "dogs"])
/// >>> batch.ids.tolist(), batch.splits.tolist()
/// ([101, 1037, 4937, 102, 101, 6077, 102], [0, 4, 7])
/// >>> len(batch), batch[1].tolist()
/// (2, [101, 6077, 102])
#[pyclass(module = "rust_ai_core", frozen, sequence)]
pub(crate) struct TokenBatch {
    ids: Py<PyArray1<u32>>,
    splits: Py<PyArray1<i64>>,
    texts: Py<PyArray1<u32>>,
    type_ids: Option<Py<PyArray1<u32>>>,
    offsets: Option<Py<PyArray2<u32>>>,
    row_ends: Vec<usize>,
}

impl TokenBatch {
    pub(crate) fn new(
        py: Python<'_>,
        batch: inference::TokenBatch,
        with_offsets: bool,
    ) -> PyResult<TokenBatch> {
        let inference::TokenBatch { ids, type_ids, offsets, row_ends, texts } = batch;
        let splits = std::iter::once(0).chain(row_ends.iter().map(|&end| end as i64));
        let offsets = if with_offsets {
            let flat = offsets.into_flattened().into_pyarray(py);
            Some(flat.reshape([ids.len(), 2])?.unbind())
        } else {
            None
        };
        Ok(TokenBatch {
            splits: PyArray1::from_iter(py, splits).unbind(),
            ids: ids.into_pyarray(py).unbind(),
            texts: texts.into_pyarray(py).unbind(),
            type_ids: (!type_ids.is_empty()).then(|| type_ids.into_pyarray(py).unbind()),
            offsets,
            row_ends,
        })
    }
}

#[pymethods]
impl TokenBatch {
    /// The ids of all rows: uint32, shape (tokens,).
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> &Bound<'py, PyArray1<u32>> {
        self.ids.bind(py)
    }

    /// Where rows begin and end: int64, shape (rows + 1,), from 0 to the number of tokens.
    #[getter]
    fn splits<'py>(&self, py: Python<'py>) -> &Bound<'py, PyArray1<i64>> {
        self.splits.bind(py)
    }

    /// The position in the call of the text, or pair, that each row is of: uint32, shape (rows,).
    #[getter]
    fn texts<'py>(&self, py: Python<'py>) -> &Bound<'py, PyArray1<u32>> {
        self.texts.bind(py)
    }

    /// Which text of its pair each token is of, as the model counts: uint32, shape (tokens,).
    #[getter]
    fn type_ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        match &self.type_ids {
            Some(type_ids) => type_ids.bind(py).clone(),
            None => PyArray1::zeros(py, self.row_ends.last().copied().unwrap_or(0), false),
        }
    }

    /// Where each token begins and ends in its text, in characters, 0 and 0 for special tokens:
    /// uint32, shape (tokens, 2). None if they were not asked for.
    #[getter]
    fn offsets<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyArray2<u32>>> {
        self.offsets.as_ref().map(|offsets| offsets.bind(py))
    }

    /// The ids of each row as lists of int.
    fn to_lists(&self, py: Python<'_>) -> PyResult<Vec<Vec<u32>>> {
        let ids = self.ids.bind(py).readonly();
        let ids = ids.as_slice()?;
        Ok((0..self.row_ends.len()).map(|row| ids[self.row(row)].to_vec()).collect())
    }

    fn __len__(&self) -> usize {
        self.row_ends.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, row: isize) -> PyResult<Bound<'py, PyAny>> {
        let rows = self.row_ends.len() as isize;
        let index = if row < 0 { row + rows } else { row };
        if !(0..rows).contains(&index) {
            return Err(PyIndexError::new_err(format!("row {row} of {rows}")));
        }
        let range = self.row(index as usize);
        let slice = PySlice::new(py, range.start as isize, range.end as isize, 1);
        self.ids.bind(py).get_item(slice)
    }

    fn __repr__(&self) -> String {
        let tokens = self.row_ends.last().copied().unwrap_or(0);
        format!("TokenBatch({} rows, {tokens} tokens)", self.row_ends.len())
    }
}

impl TokenBatch {
    fn row(&self, row: usize) -> std::ops::Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.row_ends[before]);
        start..self.row_ends[row]
    }
}
