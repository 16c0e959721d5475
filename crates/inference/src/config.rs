//! What a model folder says about its model: `config.json` and the files of sentence-transformers.

use std::fs;
use std::path::Path;

use kernels::Activation;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::prompts::Prompts;

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

/// How token vectors become a text's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over all tokens, special ones included.
    Mean,
    /// The vector of the first token.
    Cls,
    /// The vector of the last token.
    Last,
    /// The greatest value of all tokens, number by number.
    Max,
    /// The sum over all tokens, divided by the square root of their number.
    MeanSqrtLen,
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

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    r#type: String,
}

/// `1_Pooling/config.json`; newer versions name one mode, older ones set one flag.
#[derive(Deserialize)]
struct PoolingFlags {
    pooling_mode: Option<String>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    include_prompt: Option<bool>,
}

/// `sentence_bert_config.json`.
#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
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
        let first_position = if matches!(architecture.as_str(), "roberta" | "xlm-roberta" | "mpnet")
        {
            transformer.pad_token_id.unwrap_or(1) + 1
        } else {
            0
        };
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

        let modules: Vec<Module> = read_json(&folder.join("modules.json"))?.unwrap_or_default();
        let pooling = pooling(folder, &modules)?;
        if let Some(module) = modules.iter().find(|module| {
            !["Transformer", "Pooling", "Normalize"]
                .iter()
                .any(|kind| module.r#type.ends_with(kind))
        }) {
            return Err(unsupported(format!("its modules.json has a {}", module.r#type)));
        }
        let longest = transformer.max_position_embeddings - first_position;
        let stated = read_json::<SentenceConfig>(&folder.join("sentence_bert_config.json"))?
            .and_then(|config| config.max_seq_length);
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
            pooling,
            normalize: modules.iter().any(|module| module.r#type.ends_with("Normalize")),
            prompts: Prompts::read(folder)?,
            max_tokens: stated.unwrap_or(longest).min(longest),
        })
    }
}

/// The pooling of a sentence-transformers folder; mean where the folder is a plain transformer.
fn pooling(folder: &Path, modules: &[Module]) -> Result<Pooling> {
    let Some(module) = modules.iter().find(|module| module.r#type.ends_with("Pooling")) else {
        return Ok(Pooling::Mean);
    };
    let unsupported = |reason: String| Error::Unsupported { path: folder.to_path_buf(), reason };
    let flags: PoolingFlags = required(&folder.join(&module.path).join("config.json"))?;
    let modes = [
        ("mean", flags.pooling_mode_mean_tokens, Some(Pooling::Mean)),
        ("cls", flags.pooling_mode_cls_token, Some(Pooling::Cls)),
        ("lasttoken", flags.pooling_mode_lasttoken, Some(Pooling::Last)),
        ("max", flags.pooling_mode_max_tokens, Some(Pooling::Max)),
        (
            "mean_sqrt_len_tokens",
            flags.pooling_mode_mean_sqrt_len_tokens,
            Some(Pooling::MeanSqrtLen),
        ),
        ("weightedmean", flags.pooling_mode_weightedmean_tokens, None),
    ];
    if flags.include_prompt == Some(false) {
        return Err(unsupported("its pooling leaves out the prompt's tokens".into()));
    }
    let named = flags.pooling_mode.as_deref();
    let mut chosen = modes.iter().filter(|(name, flag, _)| *flag || named == Some(name));
    match (chosen.next(), chosen.next()) {
        (Some((_, _, Some(pooling))), None) => Ok(*pooling),
        (Some((name, _, None)), None) => Err(unsupported(format!("its pooling is {name}"))),
        (None, _) => Err(unsupported("its pooling names no mode that is known".into())),
        (Some(_), Some(_)) => Err(unsupported("its pooling joins several modes".into())),
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
