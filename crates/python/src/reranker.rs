//! The cross-encoder.

use std::path::PathBuf;
use std::sync::Arc;

use inference::scheduler::{MAX_WAITING_CALLS, Scheduler};
use inference::{Activation, CrossEncoder};
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::convert;
use crate::errors::{Kind, OrRaise};
use crate::threads::{self, PerProcess, SIGNAL_INTERVAL};

/// Scores how well texts answer a query, with a cross-encoder: it reads both together, so it is
/// better and slower than comparing vectors. Use it on the best hits of a search.
///
/// `model` is a folder or a model's id on the Hugging Face hub: BERT, RoBERTa, XLM-RoBERTa,
/// DistilBERT or MPNet for sequence classification with one label. Scores are what `activation`
/// makes of the model's number, "sigmoid" (0 to 1) or "identity"; by default what the model's
/// `config.json` names, the sigmoid where it names none. Raises ModelError (a ValueError) for
/// another kind of model. One reranker may be used from many threads at a time; they share packs.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Reranker {
    name: String,
    model: Arc<CrossEncoder>,
    scheduler: PerProcess<Scheduler<CrossEncoder>>,
}

impl Reranker {
    fn score(&self, py: Python<'_>, pairs: Vec<(String, String)>) -> PyResult<Vec<f32>> {
        let scheduler = self.scheduler.get_or_make(|| {
            Ok(Scheduler::new(self.model.clone(), threads::encoding()?, MAX_WAITING_CALLS))
        })?;
        let call = threads::until_signalled(py, |go_on| scheduler.submit(pairs, go_on))?;
        while !py.detach(|| call.wait(usize::MAX, SIGNAL_INTERVAL)).finished {
            py.check_signals()?;
        }
        py.detach(|| call.take()).or_raise()
    }
}

#[pymethods]
impl Reranker {
    #[new]
    #[pyo3(signature = (model, *, activation = None))]
    fn new(model: &Bound<'_, PyAny>, activation: Option<&str>) -> PyResult<Reranker> {
        let py = model.py();
        let activation = match activation {
            None => None,
            Some("sigmoid") => Some(Activation::Sigmoid),
            Some("identity") => Some(Activation::Identity),
            Some(other) => {
                return Err(Kind::Argument
                    .error(format!("activation is \"sigmoid\" or \"identity\", not {other:?}")));
            }
        };
        let folder: PathBuf =
            py.import("rust_ai_core.models")?.call_method1("resolve", (model,))?.extract()?;
        let loaded = py.detach(|| CrossEncoder::load(&folder, activation)).or_raise()?;
        Ok(Reranker {
            name: model.str()?.to_string(),
            model: Arc::new(loaded),
            scheduler: PerProcess::new(),
        })
    }

    /// The path or id that it was asked for by.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The folder that its files are in.
    #[getter]
    fn path(&self) -> String {
        self.model.folder().display().to_string()
    }

    /// The longest pair in tokens, special tokens included; of a longer one, the longer text is cut.
    #[getter]
    fn max_tokens(&self) -> usize {
        self.model.max_tokens()
    }

    /// 32 hexadecimal digits that name everything a score depends on.
    #[getter]
    fn fingerprint(&self) -> &str {
        self.model.fingerprint()
    }

    /// The texts' positions and scores, best first, at most `limit`; equal scores in their order.
    ///
    /// Raises TypeError for a text that is not a `str` and names its position. Ctrl-C stops it.
    #[pyo3(signature = (query, texts, *, limit = None))]
    fn rank(
        &self,
        query: &str,
        texts: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = convert::optional_count)] limit: Option<usize>,
    ) -> PyResult<Vec<(usize, f32)>> {
        let pair = |text| (query.to_owned(), text);
        let pairs = convert::texts(texts)?.into_iter().map(pair).collect();
        let scores = self.score(texts.py(), pairs)?;
        let mut ranked: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
        ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ranked.truncate(limit.unwrap_or(usize::MAX));
        Ok(ranked)
    }

    /// A score for each pair of a query and a text: float32 of shape (n,). A score depends on its
    /// pair alone, to the last bit.
    fn scores<'py>(
        &self,
        py: Python<'py>,
        pairs: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let pair = |(index, item): (usize, PyResult<Bound<'py, PyAny>>)| {
            item?
                .extract::<(String, String)>()
                .map_err(|_| PyTypeError::new_err(format!("pair {index} is not a pair of str")))
        };
        let pairs = pairs.try_iter()?.enumerate().map(pair).collect::<PyResult<_>>()?;
        Ok(self.score(py, pairs)?.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        format!("Reranker({:?}, max_tokens={})", self.name, self.model.max_tokens())
    }
}
