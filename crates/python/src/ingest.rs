//! placeholder
use pyo3::prelude::*;
#[pyclass]
pub(crate) struct IngestProgress {}
#[pyclass]
pub(crate) struct IngestReport {}
pub(crate) struct Settings {
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub gitignore: bool,
    pub hidden: bool,
    pub max_file_bytes: u64,
    pub encoding: Option<String>,
    pub max_tokens: Option<usize>,
    pub overlap_tokens: Option<usize>,
    pub metadata: Option<serde_json::Value>,
    pub prune: bool,
}
pub(crate) fn run(
    _py: Python<'_>,
    _c: &database::Collection,
    _e: &std::sync::Arc<inference::Encoder>,
    _s: &Bound<'_, PyAny>,
    _o: Settings,
    _p: Option<&Bound<'_, PyAny>>,
) -> PyResult<IngestReport> {
    Ok(IngestReport {})
}
