//! What turns texts into vectors, of whatever kind it is.

use std::path::Path;

use kernels::Precision;
use rayon::prelude::*;

use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::onnx_encoder::OnnxEncoder;
use crate::prompts::Prompts;
use crate::scheduler::Workload;
use crate::static_encoder::StaticEncoder;

/// Sequences of one token that are run together when a vocabulary is encoded.
const TOKENS_TOGETHER: usize = 64;

/// A transformer of ours or of ONNX Runtime, or a table of static embeddings.
pub enum TextModel {
    /// BERT and its kin.
    Transformer(Box<Encoder>),
    /// model2vec's layout.
    Static(Box<StaticEncoder>),
    /// A graph that ONNX Runtime runs.
    Onnx(Box<OnnxEncoder>),
}

/// Calls a method that all kinds have.
macro_rules! either {
    ($self:ident, $model:ident => $call:expr) => {
        match $self {
            TextModel::Transformer($model) => $call,
            TextModel::Static($model) => $call,
            TextModel::Onnx($model) => $call,
        }
    };
}

impl TextModel {
    /// Loads a model folder; `config.json` says what kind it is.
    ///
    /// # Errors
    /// A file is missing, truncated or does not fit the others; the architecture is not one of ours,
    /// or cannot be run in `precision`.
    pub fn load(folder: &Path, precision: Precision) -> Result<TextModel> {
        if !StaticEncoder::is_one(folder)? {
            return Encoder::load(folder, precision)
                .map(|model| TextModel::Transformer(Box::new(model)));
        }
        if precision != Precision::F32 {
            return Err(Error::Unsupported {
                path: folder.to_path_buf(),
                reason: "static embeddings multiply nothing: their precision is f32".into(),
            });
        }
        StaticEncoder::load(folder).map(|model| TextModel::Static(Box::new(model)))
    }

    /// In what the network multiplies; of an ONNX model, what its vectors are of.
    pub fn precision(&self) -> Precision {
        match self {
            TextModel::Transformer(model) => model.precision(),
            TextModel::Static(_) | TextModel::Onnx(_) => Precision::F32,
        }
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        match self {
            TextModel::Transformer(model) => model.folder(),
            TextModel::Static(model) => model.folder(),
            TextModel::Onnx(model) => &model.model().folder,
        }
    }

    /// Elements of a vector.
    pub fn dimension(&self) -> usize {
        either!(self, model => model.dimension())
    }

    /// Longest text in tokens, special ones included; what is longer is cut.
    pub fn max_tokens(&self) -> usize {
        either!(self, model => model.max_tokens())
    }

    /// Longest text in tokens, special ones not counted.
    pub fn content_tokens(&self) -> usize {
        match self {
            TextModel::Transformer(model) => model.content_tokens(),
            TextModel::Static(model) => model.max_tokens(),
            TextModel::Onnx(model) => model.content_tokens(),
        }
    }

    /// Names everything that a vector depends on. 32 hex digits.
    pub fn fingerprint(&self) -> &str {
        either!(self, model => model.fingerprint())
    }

    /// What the model wants to read before a text.
    pub fn prompts(&self) -> &Prompts {
        either!(self, model => model.prompts())
    }

    /// The token ids that the model sees. Runs on the ambient rayon pool.
    ///
    /// # Errors
    /// The tokenizer refuses a text.
    pub fn tokenize(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        let many = |ids: &(dyn Fn(&str) -> std::result::Result<Vec<u32>, String> + Sync)| {
            let one = |(index, text): (usize, &&str)| {
                ids(text).map_err(|reason| Error::Tokenize { index, reason })
            };
            texts.par_iter().enumerate().map(one).collect()
        };
        match self {
            TextModel::Transformer(model) => model.tokenize(texts),
            TextModel::Static(model) => many(&|text| model.ids(text)),
            TextModel::Onnx(model) => many(&|text| model.ids(text)),
        }
    }

    /// The byte range of every token of the text, special tokens left out, nothing cut.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>> {
        match self {
            TextModel::Transformer(model) => model.token_offsets(text),
            TextModel::Static(model) => model.offsets(text),
            TextModel::Onnx(model) => {
                model.offsets(text).map_err(|reason| Error::Tokenize { index: 0, reason })
            }
        }
    }

    /// The vectors of sequences of token ids, each as short as a single token's. Runs on the ambient
    /// rayon pool.
    ///
    /// # Errors
    /// The model fails.
    pub fn encode_ids(&self, sequences: &[Vec<u32>]) -> Result<Vec<f32>> {
        let width = self.dimension();
        let mut rows = vec![0.0; sequences.len() * width];
        sequences
            .par_chunks(TOKENS_TOGETHER)
            .zip(rows.par_chunks_mut(TOKENS_TOGETHER * width))
            .try_for_each(|(sequences, rows)| self.run(sequences, rows))
            .map_err(|reason| Error::Failed { reason })?;
        Ok(rows)
    }
}

impl Workload for TextModel {
    type Item = String;
    type Sequence = Vec<u32>;

    fn width(&self) -> usize {
        self.dimension()
    }

    fn pack_tokens(&self) -> usize {
        either!(self, model => model.pack_tokens())
    }

    fn estimate(&self, text: &String) -> usize {
        either!(self, model => model.estimate(text))
    }

    fn tokenize(&self, text: &String) -> std::result::Result<Vec<u32>, String> {
        either!(self, model => Workload::tokenize(model.as_ref(), text))
    }

    fn tokens(&self, sequence: &Vec<u32>) -> usize {
        sequence.len()
    }

    fn is_cut(&self, text: &String, sequence: &Vec<u32>) -> bool {
        either!(self, model => model.is_cut(text, sequence))
    }

    fn run(&self, pack: &[Vec<u32>], rows: &mut [f32]) -> std::result::Result<(), String> {
        either!(self, model => model.run(pack, rows))
    }
}
