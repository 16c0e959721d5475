//! Static embeddings in the layout of model2vec: a table with a row a token, and a text's vector is
//! the mean of its tokens' rows. Nothing is computed but that, so it is a thousand times faster
//! than a transformer and knows nothing of a word's neighbours.

use std::path::{Path, PathBuf};

use kernels::Backend;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::config::required;
use crate::error::{Error, Result};
use crate::prompts::Prompts;
use crate::scheduler::Workload;
use crate::tokenizer::{OffsetUnit, Tokenizer};
use crate::weights::Weights;

/// Tokens that one thread sums at a time: some milliseconds.
const PACK_TOKENS: usize = 16_384;

/// What model2vec cuts texts to where `config.json` says nothing.
const DEFAULT_MAX_TOKENS: usize = 512;

#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    normalize: bool,
    #[serde(default = "default_max_length")]
    max_length: Option<usize>,
}

fn default_max_length() -> Option<usize> {
    Some(DEFAULT_MAX_TOKENS)
}

/// Where `tokenizer.json` says what stands for an unknown word.
#[derive(Deserialize)]
struct TokenizerFile {
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct TokenizerModel {
    unk_token: Option<String>,
    unk_id: Option<u32>,
}

/// An encoder that looks its tokens' vectors up.
pub struct StaticEncoder {
    folder: PathBuf,
    fingerprint: String,
    prompts: Prompts,
    tokenizer: Tokenizer,
    dimension: usize,
    /// `rows x dimension`
    rows: Vec<f32>,
    /// The row of every token, where several share one.
    row_of_token: Option<Vec<usize>>,
    /// What every token's row is multiplied by, where that is not in the rows already.
    weights: Option<Vec<f32>>,
    unknown: Option<u32>,
    normalize: bool,
    max_tokens: usize,
    /// Longest beginning of a text that is looked at, in characters: so many hold `max_tokens`.
    max_characters: usize,
}

impl StaticEncoder {
    /// Whether `config.json` speaks of such a model.
    pub(crate) fn is_one(folder: &Path) -> Result<bool> {
        let Kind { model_type, architectures } = required(&folder.join("config.json"))?;
        let named = architectures.iter().any(|name| name == "StaticModel");
        Ok(named || model_type.as_deref() == Some("model2vec"))
    }

    /// Loads a model folder: `config.json`, `tokenizer.json` and `model.safetensors`.
    ///
    /// # Errors
    /// A file is missing, truncated or does not fit the others.
    pub fn load(folder: &Path) -> Result<StaticEncoder> {
        let config: Config = required(&folder.join("config.json"))?;
        let prompts = Prompts::read(folder)?;
        let max_tokens = config.max_length.unwrap_or(usize::MAX);
        let tokenizer_path = folder.join("tokenizer.json");
        let tokenizer = Tokenizer::read(&tokenizer_path)?;
        let TokenizerFile { model } = required(&tokenizer_path)?;
        let unknown = match (model.unk_token, model.unk_id) {
            (Some(token), _) => tokenizer.token_to_id(&token),
            (None, id) => id,
        };

        let path = folder.join("model.safetensors");
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
        };
        let bytes = &read(&path)?;
        let settings = format!("static {config:?} {prompts:?}");
        let fingerprint = fingerprint([bytes, &read(&tokenizer_path)?, settings.as_bytes()]);
        let malformed = |reason: String| Error::Malformed { path: path.clone(), reason };
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| malformed(format!("{error}; was it downloaded whole?")))?;
        let shape = |name: &str| tensors.tensor(name).map(|view| view.shape().to_vec()).ok();
        let Some(&[count, dimension]) = shape("embeddings").as_deref() else {
            return Err(malformed("it has no matrix called embeddings".into()));
        };
        if dimension == 0 {
            return Err(malformed("its embeddings have no columns".into()));
        }
        let file = Weights::open(&path, "embeddings")?;
        let rows = file.tensor("embeddings", &[count, dimension])?;
        let tokens = tokenizer.id_bound();
        let row_of_token = match tensors.tensor("mapping") {
            Ok(view) => Some(rows_of_tokens(view).map_err(malformed)?),
            Err(_) => None,
        };
        let weights = match shape("weights") {
            Some(shape) => Some(file.tensor("weights", &shape)?),
            None => None,
        };
        let too_few = |name: &str, found: usize| {
            malformed(format!("{name} has {found} entries, the tokenizer {tokens} tokens"))
        };
        match &row_of_token {
            None if count < tokens => return Err(too_few("embeddings", count)),
            Some(map) if map.len() < tokens => return Err(too_few("mapping", map.len())),
            Some(map) if map.iter().any(|&row| row >= count) => {
                return Err(malformed(format!("mapping names rows beyond {count}")));
            }
            _ => {}
        }
        if let Some(weights) = &weights
            && weights.len() < tokens
        {
            return Err(too_few("weights", weights.len()));
        }
        let max_characters = max_tokens.saturating_mul(median_length(&tokenizer));
        Ok(StaticEncoder {
            folder: folder.to_path_buf(),
            fingerprint,
            prompts,
            tokenizer,
            dimension,
            rows,
            row_of_token,
            weights,
            unknown,
            normalize: config.normalize,
            max_tokens,
            max_characters,
        })
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names everything that a vector depends on. 32 hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the model wants to read before a text.
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// Elements of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Longest text in tokens; `usize::MAX` where nothing is cut.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The ids whose rows make a text's vector: no special ones, none for unknown words.
    pub(crate) fn ids(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let end = text.char_indices().nth(self.max_characters).map_or(text.len(), |(at, _)| at);
        let tokens = self.tokenizer.tokens(&text[..end], OffsetUnit::Bytes);
        let mut ids = tokens.map_err(|error| error.to_string())?.ids;
        ids.truncate(self.max_tokens);
        ids.retain(|id| Some(*id) != self.unknown);
        Ok(ids)
    }

    /// The byte range of every token of the whole text.
    pub(crate) fn offsets(&self, text: &str) -> Result<Vec<(u32, u32)>> {
        Ok(self.tokenizer.tokens(text, OffsetUnit::Bytes)?.offsets)
    }

    /// The mean of the tokens' rows; zeros for none.
    fn vector(&self, ids: &[u32], vector: &mut [f32]) {
        let backend = Backend::active();
        let mut weighted = Vec::new();
        for &id in ids {
            let row = self.row_of_token.as_ref().map_or(id as usize, |rows| rows[id as usize]);
            let row = &self.rows[row * self.dimension..][..self.dimension];
            match &self.weights {
                None => backend.add_assign(vector, row),
                Some(weights) => {
                    weighted.clear();
                    weighted.extend(row.iter().map(|x| x * weights[id as usize]));
                    backend.add_assign(vector, &weighted);
                }
            }
        }
        let divisor = if self.normalize {
            // The mean has the direction of the sum.
            backend.norm(vector)
        } else {
            ids.len() as f32
        };
        if divisor > 0.0 {
            vector.iter_mut().for_each(|x| *x /= divisor);
        }
    }
}

impl Workload for StaticEncoder {
    type Item = String;
    type Sequence = Vec<u32>;

    fn width(&self) -> usize {
        self.dimension
    }

    fn pack_tokens(&self) -> usize {
        PACK_TOKENS
    }

    fn estimate(&self, text: &String) -> usize {
        (text.len() / 4 + 1).min(self.max_tokens)
    }

    fn tokenize(&self, text: &String) -> std::result::Result<Vec<u32>, String> {
        self.ids(text)
    }

    fn tokens(&self, sequence: &Vec<u32>) -> usize {
        sequence.len()
    }

    fn is_cut(&self, text: &String, _sequence: &Vec<u32>) -> bool {
        // A token is a byte at least.
        text.len() > self.max_tokens
            && self.offsets(text).is_ok_and(|tokens| tokens.len() > self.max_tokens)
    }

    fn run(&self, pack: &[Vec<u32>], rows: &mut [f32]) -> std::result::Result<(), String> {
        for (ids, row) in pack.iter().zip(rows.chunks_exact_mut(self.dimension)) {
            self.vector(ids, row);
        }
        Ok(())
    }
}

fn rows_of_tokens(view: TensorView<'_>) -> std::result::Result<Vec<usize>, String> {
    let bytes = view.data();
    let rows = match view.dtype() {
        Dtype::I64 => bytes.as_chunks().0.iter().map(|&row| i64::from_le_bytes(row)).collect(),
        Dtype::I32 => {
            bytes.as_chunks().0.iter().map(|&row| i32::from_le_bytes(row).into()).collect()
        }
        other => return Err(format!("mapping is of type {other:?}")),
    };
    let rows: Vec<i64> = rows;
    rows.into_iter()
        .map(|row| usize::try_from(row).map_err(|_| format!("mapping names row {row}")))
        .collect()
}

/// In characters, as model2vec has it: the middle one, or between the middle two rounded down.
fn median_length(tokenizer: &Tokenizer) -> usize {
    let tokens = (0..tokenizer.id_bound() as u32).filter_map(|id| tokenizer.id_to_token(id));
    let mut lengths: Vec<usize> = tokens.map(|token| token.chars().count()).collect();
    lengths.sort_unstable();
    match lengths.len() {
        0 => 0,
        count if count.is_multiple_of(2) => (lengths[count / 2 - 1] + lengths[count / 2]) / 2,
        count => lengths[count / 2],
    }
}

fn fingerprint(parts: [&[u8]; 3]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
