//! Ingestion: settings in, progress and a report out.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use pipeline::{
    Embedder, IngestError, IngestOptions, Inputs, ParseOptions, Progress, Report, WalkError,
    WalkOptions,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use serde_json::Value;

use crate::convert;
use crate::document::chunk_options;
use crate::errors::{IntoPyErr, Kind, OrRaise};
use crate::progress::Reporter;
use crate::shared_encoder::SharedEncoder;
use crate::threads;

/// The keyword arguments of `Collection.ingest`.
pub(crate) struct Settings {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) gitignore: bool,
    pub(crate) hidden: bool,
    pub(crate) max_file_bytes: u64,
    pub(crate) encoding: Option<String>,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) overlap_tokens: Option<usize>,
    pub(crate) metadata: Option<Value>,
    pub(crate) prune: bool,
}

impl Settings {
    fn into_options(self, embedder: &dyn Embedder, inputs: &Inputs) -> PyResult<IngestOptions> {
        let chunk = chunk_options(embedder.content_tokens(), self.max_tokens, self.overlap_tokens)?;
        Ok(IngestOptions {
            walk: WalkOptions {
                include: self.include,
                exclude: self.exclude,
                respect_gitignore: self.gitignore,
                hidden: self.hidden,
                max_file_bytes: self.max_file_bytes,
            },
            parse: ParseOptions { encoding: self.encoding },
            chunk: Some(chunk),
            metadata: match self.metadata {
                Some(Value::Object(metadata)) => metadata,
                _ => serde_json::Map::new(),
            },
            source_prefix: match inputs {
                Inputs::Path(path) => source_prefix(path),
                Inputs::Texts(_) => String::new(),
            },
            prune: self.prune,
            ..IngestOptions::default()
        })
    }
}

/// What makes the name of a file under `path` the path that a user would open it by: `docs/` for
/// `./docs`, nothing for the current folder. Folders with files of one name stay apart this way.
fn source_prefix(path: &Path) -> String {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let mut prefix = String::new();
    for component in folder.into_iter().flat_map(Path::components) {
        match component {
            Component::CurDir => {}
            Component::RootDir => prefix.push('/'),
            other => {
                prefix += &other.as_os_str().to_string_lossy();
                prefix.push('/');
            }
        }
    }
    prefix
}

/// A path, a mapping of names to texts, or texts alone, which are named by their content (so the same
/// text twice is one source).
fn inputs(source: &Bound<'_, PyAny>) -> PyResult<Inputs> {
    if source.is_instance_of::<PyString>() || source.hasattr("__fspath__")? {
        return Ok(Inputs::Path(source.extract::<PathBuf>()?));
    }
    if let Ok(mapping) = source.cast::<PyMapping>() {
        let item = |item: Bound<'_, PyAny>| {
            item.extract::<(String, String)>().map_err(|_| {
                PyTypeError::new_err("a mapping of sources holds names and texts, both str")
            })
        };
        return mapping.items()?.iter().map(item).collect::<PyResult<_>>().map(Inputs::Texts);
    }
    let mut names = HashSet::new();
    let named = convert::texts(source)?.into_iter().map(|text| {
        let name = format!("text-{}", &blake3::hash(text.as_bytes()).to_hex()[..16]);
        (name, text)
    });
    Ok(Inputs::Texts(named.filter(|(name, _)| names.insert(name.clone())).collect()))
}

/// Runs an ingestion on the pool while the calling thread reports progress and looks for Ctrl-C.
pub(crate) fn run(
    py: Python<'_>,
    collection: &database::Collection,
    encoder: &SharedEncoder,
    source: &Bound<'_, PyAny>,
    settings: Settings,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<IngestReport> {
    let inputs = inputs(source)?;
    let service = encoder.service()?;
    let options = settings.into_options(&service, &inputs)?;
    Reporter::with(py, "ingest_bar", progress, |reporter| {
        let callback = reporter.callback()?;
        let (report, raised) = threads::run_watched(
            py,
            |report| pipeline::ingest(collection, &service, inputs, &options, report),
            |py, progress: Progress| match &callback {
                Some(callback) => {
                    callback.call1(py, (IngestProgress { inner: progress },)).map(drop)
                }
                None => Ok(()),
            },
        )?;
        raised?;
        Ok(IngestReport { inner: report.or_raise()? })
    })
}

impl IntoPyErr for IngestError {
    fn into_py_err(self) -> PyErr {
        match self {
            IngestError::Options(message) => Kind::Argument.error(message),
            IngestError::WrongModel(message) => Kind::Model.error(message),
            IngestError::Walk(error) => error.into_py_err(),
            IngestError::Chunk(error) => error.into_py_err(),
            IngestError::Database(error) => error.into_py_err(),
            IngestError::Model(_) => Kind::Model.error(self.to_string()),
        }
    }
}

impl IntoPyErr for WalkError {
    fn into_py_err(self) -> PyErr {
        match self {
            WalkError::Pattern { .. } => Kind::Argument.error(self.to_string()),
            _ => Kind::Storage.error(self.to_string()),
        }
    }
}

/// How far an ingestion is; what a `progress` callable gets.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct IngestProgress {
    inner: Progress,
}

#[pymethods]
impl IngestProgress {
    /// "walk", "read", "embed" or "write".
    #[getter]
    fn stage(&self) -> &'static str {
        self.inner.stage.name()
    }

    /// Files that are done with: written, unchanged or skipped.
    #[getter]
    fn files_done(&self) -> usize {
        self.inner.files_done
    }

    /// Files in all; 0 while they are being looked for.
    #[getter]
    fn files_total(&self) -> usize {
        self.inner.files_total
    }

    /// Chunks embedded so far.
    #[getter]
    fn chunks(&self) -> usize {
        self.inner.chunks
    }

    /// Bytes of the files that are done with.
    #[getter]
    fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    fn __repr__(&self) -> String {
        let Progress { files_done, files_total, chunks, .. } = self.inner;
        format!(
            "IngestProgress({}, {files_done}/{files_total} files, {chunks} chunks)",
            self.stage()
        )
    }
}

/// What `Collection.ingest` did.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct IngestReport {
    inner: Report,
}

#[pymethods]
impl IngestReport {
    /// Files or texts of a known format that were found, the skipped ones among them.
    #[getter]
    fn files(&self) -> usize {
        self.inner.files_seen
    }

    /// Sources that are in the collection now and were not before, or not as they are.
    #[getter]
    fn ingested(&self) -> usize {
        self.inner.files_ingested
    }

    /// Sources that the collection already held as they are.
    #[getter]
    fn unchanged(&self) -> usize {
        self.inner.files_unchanged
    }

    /// Sources that were deleted because their files are gone.
    #[getter]
    fn removed(&self) -> usize {
        self.inner.files_removed
    }

    /// Files passed over because their names tell no format that is read.
    #[getter]
    fn unknown(&self) -> usize {
        self.inner.files_unknown
    }

    /// What could not be read, as (source, reason).
    #[getter]
    fn skipped(&self) -> Vec<(String, String)> {
        let pair = |skipped: &pipeline::Skipped| (skipped.source.clone(), skipped.reason.clone());
        self.inner.skipped.iter().map(pair).collect()
    }

    /// What was wrong in sources that were ingested nevertheless, a sentence each.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings.clone()
    }

    /// Chunks written.
    #[getter]
    fn chunks(&self) -> usize {
        self.inner.chunks
    }

    /// Tokens in them, without special ones.
    #[getter]
    fn tokens(&self) -> usize {
        self.inner.tokens
    }

    /// Bytes of the sources, whether changed or not.
    #[getter]
    fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// Wall-clock seconds: walk, read, parse, chunk, embed, write, total.
    #[getter]
    fn seconds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let seconds = &self.inner.seconds;
        let stages = [
            ("walk", seconds.walk),
            ("read", seconds.read),
            ("parse", seconds.parse),
            ("chunk", seconds.chunk),
            ("embed", seconds.embed),
            ("write", seconds.write),
            ("total", seconds.total),
        ];
        let dict = PyDict::new(py);
        for (stage, seconds) in stages {
            dict.set_item(stage, seconds)?;
        }
        Ok(dict)
    }

    /// All of it as a dict of plain values.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("files", self.files())?;
        dict.set_item("ingested", self.ingested())?;
        dict.set_item("unchanged", self.unchanged())?;
        dict.set_item("removed", self.removed())?;
        dict.set_item("unknown", self.unknown())?;
        dict.set_item("skipped", self.skipped())?;
        dict.set_item("warnings", self.warnings())?;
        dict.set_item("chunks", self.chunks())?;
        dict.set_item("tokens", self.tokens())?;
        dict.set_item("bytes", self.bytes())?;
        dict.set_item("seconds", self.seconds(py)?)?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        let report = &self.inner;
        format!(
            "IngestReport(files={}, ingested={}, unchanged={}, removed={}, skipped={}, chunks={}, \
             seconds={:.2})",
            report.files_seen,
            report.files_ingested,
            report.files_unchanged,
            report.files_removed,
            report.skipped.len(),
            report.chunks,
            report.seconds.total
        )
    }
}
