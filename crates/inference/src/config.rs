//! What `config.json` says about a model of ours.

use std::fs;
use std::path::Path;

use kernels::Activation;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::pooling::Pooling;
use crate::prompts::Prompts;
use crate::sentence_files::SentenceFiles;

/// A family of architectures that share one set of tensor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// BERT, RoBERTa and XLM-RoBERTa.
    Bert,
    /// DistilBERT: other names, no token types.
    DistilBert,
    /// MPNet: other names, no token types, attention that knows how far apart two tokens are.
    Mpnet,
}

/// Everything that the forward pass needs to know besides weights.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) family: Family,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f32,
    pub(crate) vocabulary: usize,
    pub(crate) positions: usize,
    /// Position of the first token: RoBERTa starts after the padding index.
    pub(crate) first_position: usize,
    /// Buckets of distances between tokens that attention has a bias for; none but in MPNet.
    pub(crate) distance_buckets: Option<usize>,
    pub(crate) pooling: Pooling,
    pub(crate) normalize: bool,
    pub(crate) prompts: Prompts,
    /// Longest sequence, special tokens included.
    pub(crate) max_tokens: usize,
}

/// `config.json`; DistilBERT's names are aliases.
#[derive(Deserialize)]
struct Transformer {
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "activation")]
    hidden_act: String,
    layer_norm_eps: Option<f32>,
    vocab_size: usize,
    max_position_embeddings: usize,
    pad_token_id: Option<usize>,
    position_embedding_type: Option<String>,
    relative_attention_num_buckets: Option<usize>,
}

/// What every `config.json` says, of whatever kind of model.
#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

/// What a model gives for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A vector of the text.
    Embed,
    /// A score of the pair.
    Score,
}

/// Heads that a checkpoint may carry and an encoder leaves unused.
const PRETRAINING_HEADS: [&str; 2] = ["ForMaskedLM", "ForPreTraining"];

/// The head of a cross-encoder.
const SCORING_HEAD: &str = "ForSequenceClassification";

const SUPPORTED: &str = "bert, roberta, xlm-roberta, distilbert and mpnet";

impl Config {
    /// Reads the folder's configuration files.
    pub(crate) fn read(folder: &Path, task: Task) -> Result<Config> {
        let unsupported =
            |reason: String| Error::Unsupported { path: folder.to_path_buf(), reason };
        let path = folder.join("config.json");
        let ModelType { model_type, architectures } = required(&path)?;
        let architecture = model_type.ok_or_else(|| Error::Malformed {
            path: path.clone(),
            reason: "it names no model_type".into(),
        })?;
        let family = match architecture.as_str() {
            "bert" | "roberta" | "xlm-roberta" => Family::Bert,
            "distilbert" => Family::DistilBert,
            "mpnet" => Family::Mpnet,
            other => {
                return Err(unsupported(format!(
                    "its architecture is {other:?}; this encoder runs {SUPPORTED}"
                )));
            }
        };
        let head = architectures.iter().find(|name| {
            name.contains("For") && !PRETRAINING_HEADS.iter().any(|head| name.ends_with(head))
        });
        match (task, head) {
            (Task::Embed, None) => {}
            (Task::Score, Some(head)) if head.ends_with(SCORING_HEAD) => {}
            (Task::Embed, Some(head)) => {
                // A head for another task sits on vectors that were never meant to be compared.
                let hint = if head.ends_with(SCORING_HEAD) { "; see Reranker" } else { "" };
                return Err(unsupported(format!("it is a {head}, not a text encoder{hint}")));
            }
            (Task::Score, _) => {
                let kind = architectures.first().map_or(architecture.as_str(), String::as_str);
                return Err(unsupported(format!(
                    "it is a {kind}, which has no head that scores pairs: not a cross-encoder"
                )));
            }
        }
        let transformer: Transformer = required(&path)?;
        let first_position = first_position(&architecture, transformer.pad_token_id);
        if transformer.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return Err(unsupported("its position embeddings are not absolute".into()));
        }
        let activation = match transformer.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(unsupported(format!("its activation is {other:?}"))),
        };
        let (hidden, heads) = (transformer.hidden_size, transformer.num_attention_heads);
        if hidden == 0 || heads == 0 || !hidden.is_multiple_of(heads) {
            return Err(Error::Malformed {
                path,
                reason: format!("{hidden} hidden units do not split into {heads} heads"),
            });
        }
        if transformer.max_position_embeddings <= first_position {
            return Err(Error::Malformed { path, reason: "it has no positions".into() });
        }

        let longest = transformer.max_position_embeddings - first_position;
        let sentences = SentenceFiles::read(folder)?;
        Ok(Config {
            family,
            layers: transformer.num_hidden_layers,
            heads,
            hidden,
            intermediate: transformer.intermediate_size,
            activation,
            epsilon: transformer.layer_norm_eps.unwrap_or(1e-12),
            vocabulary: transformer.vocab_size,
            positions: transformer.max_position_embeddings,
            first_position,
            distance_buckets: match family {
                Family::Mpnet => Some(transformer.relative_attention_num_buckets.unwrap_or(32)),
                Family::Bert | Family::DistilBert => None,
            },
            pooling: sentences.pooling,
            normalize: sentences.normalize,
            prompts: sentences.prompts,
            max_tokens: sentences.max_tokens.unwrap_or(longest).min(longest),
        })
    }
}

/// The position of a sequence's first token: RoBERTa's kin begin after the padding index.
pub(crate) fn first_position(model_type: &str, pad_token: Option<usize>) -> usize {
    match model_type {
        "roberta" | "xlm-roberta" | "mpnet" => pad_token.unwrap_or(1) + 1,
        _ => 0,
    }
}

pub(crate) fn required<T: DeserializeOwned>(path: &Path) -> Result<T> {
    read_json(path)?.ok_or_else(|| Error::Read {
        path: path.to_path_buf(),
        source: std::io::ErrorKind::NotFound.into(),
    })
}

/// The file's content, or nothing if there is no such file (`config.json` apart, all are optional).
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(source)
            if source.kind() == std::io::ErrorKind::NotFound && !path.ends_with("config.json") =>
        {
            return Ok(None);
        }
        Err(source) => return Err(Error::Read { path: path.to_path_buf(), source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Malformed { path: path.to_path_buf(), reason: error.to_string() })
}
