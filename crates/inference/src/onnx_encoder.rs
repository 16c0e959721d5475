//! ONNX models through the ONNX Runtime that is installed on this machine: text encoders of
//! architectures that this crate does not know.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{TensorElementType, TensorRef, ValueType};
use serde::Deserialize;

use crate::config::{first_position, read_json};
use crate::encoder::{PACK_TOKENS, fingerprint};
use crate::error::{Error, Result};
use crate::pooling::{Pooling, normalize};
use crate::prompts::Prompts;
use crate::scheduler::Workload;
use crate::sentence_files::SentenceFiles;
use crate::tokenizer::LimitedTokenizer;

/// Where an ONNX model and what runs it are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OnnxModel {
    /// The graph, a file `*.onnx`.
    pub graph: PathBuf,
    /// The folder of `tokenizer.json` and the files of sentence-transformers.
    pub folder: PathBuf,
    /// The shared library of ONNX Runtime, 1.17 or later.
    pub library: PathBuf,
}

/// A text encoder whose network ONNX Runtime runs.
///
/// Texts are run one by one. Padding them into one batch would let the sums of a text depend on its
/// neighbours, and a dynamically quantised model take its ranges from all of them.
pub struct OnnxEncoder {
    model: OnnxModel,
    fingerprint: String,
    tokenizer: LimitedTokenizer,
    inputs: Vec<InputKind>,
    output: Output,
    settings: Settings,
    dimension: usize,
    session: Mutex<Session>,
    /// The threads of a session do not live on in the child of a fork.
    process: u32,
}

/// What shapes a vector beside the files.
#[derive(Debug)]
struct Settings {
    pooling: Pooling,
    normalize: bool,
    prompts: Prompts,
    max_tokens: usize,
}

/// What a graph asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputKind {
    Ids,
    Mask,
    Types,
}

/// What a graph gives.
#[derive(Clone, Debug)]
enum Output {
    /// A vector a token, to be pooled.
    Tokens(String),
    /// The vector of the text: the graph has pooled.
    Text(String),
}

/// The parts of `config.json` that every transformer has.
#[derive(Deserialize)]
struct AnyTransformer {
    #[serde(default)]
    model_type: String,
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<usize>,
}

/// One library a process: what came first.
static RUNTIME: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

impl OnnxEncoder {
    /// Loads a model, to be run by `threads` threads.
    ///
    /// # Errors
    /// The library cannot be loaded or is not the one this process uses already; a file is missing or
    /// damaged; the graph takes or gives something else than a text encoder.
    pub fn load(model: OnnxModel, threads: usize) -> Result<OnnxEncoder> {
        let unsupported = |reason: String| Error::Unsupported { path: model.graph.clone(), reason };
        let SentenceFiles { pooling, normalize, prompts, max_tokens } =
            SentenceFiles::read(&model.folder)?;
        let max_tokens = max_tokens.map_or_else(|| positions(&model.folder), Ok)?;
        let settings = Settings { pooling, normalize, prompts, max_tokens };
        let tokenizer_file = model.folder.join("tokenizer.json");
        let tokenizer = LimitedTokenizer::read(&tokenizer_file, max_tokens)?;

        let environment = environment(&model.library)?;
        let failed = |error: ort::Error| unsupported(format!("ONNX Runtime says: {error}"));
        let builder = || -> ort::Result<Session> {
            Session::builder(&environment)?
                .with_intra_threads(threads)?
                .with_intra_op_spinning(false)?
                .commit_from_file(&model.graph)
        };
        let session = builder().map_err(failed)?;
        let inputs = session.inputs().iter();
        let inputs = inputs
            .map(|input| InputKind::of(input.name(), input.dtype()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(unsupported)?;
        let outputs: Vec<_> =
            session.outputs().iter().map(|output| (output.name(), output.dtype())).collect();
        let output = Output::among(&outputs).map_err(unsupported)?;

        // Large graphs keep their weights in a file beside them.
        let data = model.graph.with_added_extension("data");
        let data = [model.graph.with_file_name("model.onnx_data"), data];
        let mut files = vec![model.graph.as_path(), tokenizer_file.as_path()];
        files.extend(data.iter().map(PathBuf::as_path).filter(|file| file.is_file()));
        let fingerprint = fingerprint(&settings, &files)?;
        let mut loaded = OnnxEncoder {
            fingerprint,
            tokenizer,
            inputs,
            output,
            settings,
            dimension: 0,
            session: Mutex::new(session),
            process: std::process::id(),
            model: model.clone(),
        };
        // Graphs state their widths or do not; an answer always has one.
        let ids = loaded.tokenizer.ids("a").map_err(unsupported)?;
        loaded.dimension = loaded.output(&ids).map_err(unsupported)?.1;
        Ok(loaded)
    }

    /// The graph, the folder and the library.
    pub fn model(&self) -> &OnnxModel {
        &self.model
    }

    /// Elements of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Longest text in tokens, special ones included; what is longer is cut.
    pub fn max_tokens(&self) -> usize {
        self.settings.max_tokens
    }

    /// Longest text in tokens, special ones not counted.
    pub fn content_tokens(&self) -> usize {
        self.tokenizer.content_tokens()
    }

    /// Names everything that a vector depends on beside ONNX Runtime itself. 32 hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the model wants to read before a text.
    pub fn prompts(&self) -> &Prompts {
        &self.settings.prompts
    }

    /// The token ids that the model sees for one text.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub(crate) fn ids(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        self.tokenizer.ids(text)
    }

    /// The byte range of every token of the text, special tokens left out, nothing cut.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub(crate) fn offsets(&self, text: &str) -> std::result::Result<Vec<(u32, u32)>, String> {
        self.tokenizer.offsets(text)
    }

    /// The graph's output for one text, and the width of its rows.
    fn output(&self, ids: &[u32]) -> std::result::Result<(Vec<f32>, usize), String> {
        if std::process::id() != self.process {
            return Err("an ONNX model cannot be used in a process that was forked after it was \
                        loaded; load it there"
                .into());
        }
        let shape = [1, ids.len()];
        let ids: Vec<i64> = ids.iter().copied().map(i64::from).collect();
        let (ones, zeros) = (vec![1; ids.len()], vec![0; ids.len()]);
        let run = || -> ort::Result<_> {
            let mut values: Vec<SessionInputValue> = Vec::with_capacity(self.inputs.len());
            for kind in &self.inputs {
                let data = match kind {
                    InputKind::Ids => &ids,
                    InputKind::Mask => &ones,
                    InputKind::Types => &zeros,
                };
                values.push(TensorRef::from_array_view((shape, data.as_slice()))?.into());
            }
            let (Output::Tokens(name) | Output::Text(name)) = &self.output;
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            let outputs = session.run(values.as_slice())?;
            let (shape, numbers) = outputs[name.as_str()].try_extract_tensor::<f32>()?;
            let width = shape.last().copied().unwrap_or_default();
            Ok((numbers.to_vec(), usize::try_from(width).unwrap_or_default()))
        };
        let (numbers, width) = run().map_err(|error| format!("ONNX Runtime says: {error}"))?;
        let rows = if matches!(self.output, Output::Tokens(_)) { ids.len() } else { 1 };
        if width == 0 || numbers.len() != rows * width {
            return Err(format!("the graph gave {} numbers for {rows} rows", numbers.len()));
        }
        Ok((numbers, width))
    }
}

impl InputKind {
    fn of(name: &str, kind: &ValueType) -> std::result::Result<InputKind, String> {
        if kind.tensor_type() != Some(TensorElementType::Int64) {
            return Err(format!("its input {name} is a {kind}, not of 64-bit integers"));
        }
        match name {
            "input_ids" => Ok(InputKind::Ids),
            "attention_mask" => Ok(InputKind::Mask),
            "token_type_ids" => Ok(InputKind::Types),
            _ => Err(format!(
                "it asks for an input {name}; a text encoder takes input_ids, attention_mask and \
                 token_type_ids"
            )),
        }
    }
}

impl Output {
    /// A vector a token where there is one, for its pooling is ours; else one of the text.
    fn among(outputs: &[(&str, &ValueType)]) -> std::result::Result<Output, String> {
        let of_rank = |rank| {
            let fits = |(_, kind): &&(&str, &ValueType)| {
                kind.tensor_type() == Some(TensorElementType::Float32)
                    && kind.tensor_shape().is_some_and(|shape| shape.len() == rank)
            };
            outputs.iter().find(fits).map(|(name, _)| (*name).to_owned())
        };
        of_rank(3).map(Output::Tokens).or_else(|| of_rank(2).map(Output::Text)).ok_or_else(|| {
            let names: Vec<&str> = outputs.iter().map(|(name, _)| *name).collect();
            format!("of its outputs {names:?} none is a vector of 32-bit floats a token or a text")
        })
    }
}

/// The environment of a library, which is loaded on first use.
fn environment(library: &Path) -> Result<Environment> {
    let failed = |reason: String| Error::Runtime { path: library.to_path_buf(), reason };
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match &*runtime {
        Some((loaded, environment)) if loaded == library => Ok(environment.clone()),
        Some((loaded, _)) => Err(failed(format!("this process uses {} already", loaded.display()))),
        None => {
            let builder = ort::init_from(library).map_err(|error| failed(error.to_string()))?;
            let environment =
                builder.with_telemetry(false).build().map_err(|error| failed(error.to_string()))?;
            *runtime = Some((library.to_path_buf(), environment.clone()));
            Ok(environment)
        }
    }
}

/// The longest sequence that `config.json` speaks of.
fn positions(folder: &Path) -> Result<usize> {
    let path = folder.join("config.json");
    let config: Option<AnyTransformer> = if path.is_file() { read_json(&path)? } else { None };
    config
        .and_then(|config| {
            let first = first_position(&config.model_type, config.pad_token_id);
            config.max_position_embeddings?.checked_sub(first)
        })
        .ok_or_else(|| Error::Unsupported {
            path: folder.to_path_buf(),
            reason: "neither max_seq_length in sentence_bert_config.json nor \
                     max_position_embeddings in config.json says how long a text may be"
                .into(),
        })
}

impl Workload for OnnxEncoder {
    type Item = String;
    type Sequence = Vec<u32>;

    fn width(&self) -> usize {
        self.dimension
    }

    fn pack_tokens(&self) -> usize {
        PACK_TOKENS
    }

    fn estimate(&self, text: &String) -> usize {
        (text.len() / 4 + 2).min(self.max_tokens())
    }

    fn tokenize(&self, text: &String) -> std::result::Result<Vec<u32>, String> {
        self.ids(text)
    }

    fn tokens(&self, sequence: &Vec<u32>) -> usize {
        sequence.len()
    }

    fn is_cut(&self, text: &String, sequence: &Vec<u32>) -> bool {
        sequence.len() >= self.max_tokens()
            && self.offsets(text).is_ok_and(|all| all.len() > self.content_tokens())
    }

    fn run(&self, pack: &[Vec<u32>], rows: &mut [f32]) -> std::result::Result<(), String> {
        let Settings { pooling, normalize: unit, .. } = self.settings;
        for (ids, row) in pack.iter().zip(rows.chunks_exact_mut(self.dimension)) {
            if ids.is_empty() {
                continue;
            }
            let (numbers, width) = self.output(ids)?;
            if width != self.dimension {
                return Err(format!("the graph gave {width} numbers, not {}", self.dimension));
            }
            match self.output {
                Output::Tokens(_) => pooling.pool(&numbers, unit, row),
                Output::Text(_) => {
                    row.copy_from_slice(&numbers);
                    if unit {
                        normalize(row);
                    }
                }
            }
        }
        Ok(())
    }
}
