//! What the files of sentence-transformers say: from token vectors to a text's vector.

use std::path::Path;

use serde::Deserialize;

use crate::config::{read_json, required};
use crate::error::{Error, Result};
use crate::pooling::Pooling;
use crate::prompts::Prompts;

/// The settings beside the network's own.
pub(crate) struct SentenceFiles {
    pub(crate) pooling: Pooling,
    /// Whether vectors get unit length.
    pub(crate) normalize: bool,
    pub(crate) prompts: Prompts,
    /// Longest sequence, special tokens included, where a file states it.
    pub(crate) max_tokens: Option<usize>,
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

impl SentenceFiles {
    /// Reads the files of a folder; all are optional.
    pub(crate) fn read(folder: &Path) -> Result<SentenceFiles> {
        let modules: Vec<Module> = read_json(&folder.join("modules.json"))?.unwrap_or_default();
        let pooling = pooling(folder, &modules)?;
        let known = ["Transformer", "Pooling", "Normalize"];
        let is_known = |module: &Module| known.iter().any(|kind| module.r#type.ends_with(kind));
        if let Some(module) = modules.iter().find(|module| !is_known(module)) {
            return Err(Error::Unsupported {
                path: folder.to_path_buf(),
                reason: format!("its modules.json has a {}", module.r#type),
            });
        }
        let stated = read_json::<SentenceConfig>(&folder.join("sentence_bert_config.json"))?;
        Ok(SentenceFiles {
            pooling,
            normalize: modules.iter().any(|module| module.r#type.ends_with("Normalize")),
            prompts: Prompts::read(folder)?,
            max_tokens: stated.and_then(|config| config.max_seq_length),
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
