//! Cross-encoders: a query and a text read together, and one score of how well they fit.

use std::path::{Path, PathBuf};

use kernels::{Backend, Precision};
use serde::Deserialize;

use crate::config::{Config, Family, Task, required};
use crate::encoder::{PACK_TOKENS, check_vocabulary, fingerprint};
use crate::error::{Error, Result};
use crate::scheduler::Workload;
use crate::spares::Spares;
use crate::tokenizer::Tokenizer;
use crate::transformer::{Sequence, Transformer, Workspace};
use crate::weights::Weights;

/// What a score is made of the head's number by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The number as it is.
    Identity,
    /// Between 0 and 1.
    Sigmoid,
}

/// A BERT-class model with a head that scores pairs of texts.
pub struct CrossEncoder {
    folder: PathBuf,
    fingerprint: String,
    tokenizer: Tokenizer,
    transformer: Transformer,
    head: Head,
    activation: Activation,
    /// Buffers of threads that are done, for the next ones.
    workspaces: Spares<Workspace>,
}

/// A dense layer on the first token's vector, and a product with one row.
struct Head {
    /// `hidden x hidden`
    dense: Vec<f32>,
    dense_bias: Vec<f32>,
    /// DistilBERT has a ramp between the two, all others a hyperbolic tangent.
    ramp: bool,
    output: Vec<f32>,
    output_bias: f32,
}

/// The ids of a pair.
pub struct Pair {
    ids: Vec<u32>,
    second: usize,
}

impl Sequence for Pair {
    fn ids(&self) -> &[u32] {
        &self.ids
    }

    fn second(&self) -> usize {
        self.second
    }
}

/// What sentence-transformers writes into `config.json`, in its newer and its older way.
#[derive(Deserialize)]
struct Settings {
    sentence_transformers: Option<NewSettings>,
    sbert_ce_default_activation_function: Option<String>,
    #[serde(default)]
    id2label: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct NewSettings {
    activation_fn: Option<String>,
}

impl CrossEncoder {
    /// Loads a model folder: `config.json`, `tokenizer.json`, `model.safetensors`. The activation is
    /// the one that `config.json` names, the sigmoid where it names none.
    ///
    /// # Errors
    /// A file is missing, truncated or does not fit the others; the model is no cross-encoder, has
    /// several labels, or an architecture or activation that is not one of ours.
    pub fn load(folder: &Path, activation: Option<Activation>) -> Result<CrossEncoder> {
        let config = Config::read(folder, Task::Score)?;
        let unsupported =
            |reason: String| Error::Unsupported { path: folder.to_path_buf(), reason };
        let settings: Settings = required(&folder.join("config.json"))?;
        let named = settings
            .sentence_transformers
            .and_then(|newer| newer.activation_fn)
            .or(settings.sbert_ce_default_activation_function);
        let labels = settings.id2label.len();
        if labels != 1 {
            return Err(unsupported(format!(
                "it tells {labels} labels apart; a reranker has one, the score"
            )));
        }
        let activation = match (activation, named.as_deref()) {
            (Some(activation), _) => activation,
            (None, None) => Activation::Sigmoid,
            (None, Some(name)) if name.ends_with("Sigmoid") => Activation::Sigmoid,
            (None, Some(name)) if name.ends_with("Identity") => Activation::Identity,
            (None, Some(name)) => return Err(unsupported(format!("its activation is {name:?}"))),
        };
        let tokenizer = Tokenizer::read(&folder.join("tokenizer.json"))?;
        check_vocabulary(folder, tokenizer.id_bound(), &config)?;
        if config.max_tokens <= tokenizer.special_tokens(true)? {
            return Err(unsupported(format!("{} tokens hold no pair", config.max_tokens)));
        }
        let path = folder.join("model.safetensors");
        let fingerprint =
            fingerprint(&(&config, activation), &[&path, &folder.join("tokenizer.json")])?;
        let head = Head::new(&Weights::open(&path, Transformer::WORDS)?, &config)?;
        Ok(CrossEncoder {
            folder: folder.to_path_buf(),
            fingerprint,
            tokenizer,
            transformer: Transformer::new(&path, config, Precision::F32)?,
            head,
            activation,
            workspaces: Spares::default(),
        })
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Longest pair in tokens, special ones included; of what is longer, the longer text is cut.
    pub fn max_tokens(&self) -> usize {
        self.transformer.config().max_tokens
    }

    /// Names everything that a score depends on. 32 hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl Head {
    fn new(weights: &Weights, config: &Config) -> Result<Head> {
        let hidden = config.hidden;
        // BERT's dense layer is its pooler, which has the prefix of the rest.
        let (dense, output, ramp) = match config.family {
            Family::DistilBert => ("pre_classifier", "classifier", true),
            Family::Bert if weights.rows("pooler.dense.weight").is_some() => {
                ("pooler.dense", "classifier", false)
            }
            Family::Bert | Family::Mpnet => ("classifier.dense", "classifier.out_proj", false),
        };
        let read = |name: &str, shape: &[usize]| {
            if name.starts_with("pooler") {
                weights.tensor(name, shape)
            } else {
                weights.tensor_outside(name, shape)
            }
        };
        Ok(Head {
            dense: read(&format!("{dense}.weight"), &[hidden, hidden])?,
            dense_bias: read(&format!("{dense}.bias"), &[hidden])?,
            ramp,
            output: read(&format!("{output}.weight"), &[1, hidden])?,
            output_bias: read(&format!("{output}.bias"), &[1])?[0],
        })
    }

    fn score(&self, state: &[f32]) -> f32 {
        let backend = Backend::active();
        let rows = self.dense.chunks_exact(state.len()).zip(&self.dense_bias);
        let dense = rows.map(|(row, bias)| backend.dot(row, state) + bias);
        let inner: Vec<f32> =
            dense.map(|x| if self.ramp { x.max(0.0) } else { x.tanh() }).collect();
        backend.dot(&self.output, &inner) + self.output_bias
    }
}

impl Workload for CrossEncoder {
    type Item = (String, String);
    type Sequence = Pair;

    fn width(&self) -> usize {
        1
    }

    fn pack_tokens(&self) -> usize {
        PACK_TOKENS
    }

    fn estimate(&self, (first, second): &(String, String)) -> usize {
        ((first.len() + second.len()) / 4 + 3).min(self.max_tokens())
    }

    fn tokenize(&self, (first, second): &(String, String)) -> std::result::Result<Pair, String> {
        let pair = self.tokenizer.ids_pair(first, second, self.max_tokens());
        let (ids, types) = pair.map_err(|error| error.to_string())?;
        let second = types.iter().position(|&kind| kind == 1).unwrap_or(ids.len());
        Ok(Pair { ids, second })
    }

    fn tokens(&self, sequence: &Pair) -> usize {
        sequence.ids.len()
    }

    fn is_cut(&self, (first, second): &(String, String), pair: &Pair) -> bool {
        let count = |text| self.tokenizer.count(text).unwrap_or(0);
        let special = self.tokenizer.special_tokens(true).unwrap_or(0);
        pair.ids.len() >= self.max_tokens()
            && count(first) + count(second) + special > self.max_tokens()
    }

    fn run(&self, pack: &[Pair], rows: &mut [f32]) -> std::result::Result<(), String> {
        self.workspaces.lend(|workspace| {
            self.transformer.forward(pack, 1, workspace);
            let hidden = self.transformer.config().hidden;
            let mut states = workspace.states.as_slice();
            for (pair, row) in pack.iter().zip(rows) {
                let (own, rest) = states.split_at(pair.ids.len() * hidden);
                let score = self.head.score(&own[..hidden]);
                *row = match self.activation {
                    Activation::Identity => score,
                    Activation::Sigmoid => 1.0 / (1.0 + (-score).exp()),
                };
                states = rest;
            }
        });
        Ok(())
    }
}
