//! Texts to vectors: tokenize, pack, run, pool.

use std::path::{Path, PathBuf};

use kernels::Precision;
use rayon::prelude::*;

use crate::config::{Config, Task};
use crate::error::{Error, Result};
use crate::prompts::Prompts;
use crate::scheduler::Workload;
use crate::spares::Spares;
use crate::tokenizer::LimitedTokenizer;
use crate::transformer::{Transformer, Workspace};

/// Tokens that one thread runs through the network at a time, about. Enough rows to read each packed
/// weight from memory seldom, few enough that a layer's activations stay close to the core.
pub(crate) const PACK_TOKENS: usize = 192;

/// So few tokens are not worth splitting by texts: threads share out each layer's columns instead.
const SINGLE_PACK_TOKENS: usize = 48;

/// A BERT-class text encoder. Shared between threads as it is; all calls use the ambient rayon
/// pool.
pub struct Encoder {
    folder: PathBuf,
    fingerprint: String,
    tokenizer: LimitedTokenizer,
    transformer: Transformer,
    /// Buffers of threads that are done, for the next ones.
    workspaces: Spares<Workspace>,
}

impl Encoder {
    /// Loads a model folder: `config.json`, `tokenizer.json`, `model.safetensors`, and where they
    /// are there `modules.json`, its pooling configuration and `sentence_bert_config.json`.
    ///
    /// # Errors
    /// A file is missing, truncated or does not fit the others; the architecture, the pooling or
    /// the activation is not one of ours.
    pub fn load(folder: &Path, precision: Precision) -> Result<Encoder> {
        let config = Config::read(folder, Task::Embed)?;
        let tokenizer = LimitedTokenizer::read(&folder.join("tokenizer.json"), config.max_tokens)?;
        check_vocabulary(folder, tokenizer.vocabulary(), &config)?;
        let path = folder.join("model.safetensors");
        let fingerprint = fingerprint(&config, &[&path, &folder.join("tokenizer.json")])?;
        let transformer = Transformer::new(&path, config, precision)?;
        Ok(Encoder {
            folder: folder.to_path_buf(),
            fingerprint,
            tokenizer,
            transformer,
            workspaces: Spares::default(),
        })
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Elements of a vector.
    pub fn dimension(&self) -> usize {
        self.transformer.config().hidden
    }

    /// In what the network multiplies.
    pub fn precision(&self) -> Precision {
        self.transformer.precision()
    }

    /// Longest text in tokens, special ones included; what is longer is cut.
    pub fn max_tokens(&self) -> usize {
        self.transformer.config().max_tokens
    }

    /// Longest text in tokens, special ones not counted.
    pub fn content_tokens(&self) -> usize {
        self.tokenizer.content_tokens()
    }

    /// What the model wants to read before a text.
    pub fn prompts(&self) -> &Prompts {
        &self.transformer.config().prompts
    }

    /// Names what a vector depends on beside the precision: weights, tokenizer, pooling. 32 hex
    /// digits. Vectors of one model in two precisions are close enough to compare.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// One row of [`Encoder::dimension`] floats a text, row-major. A row depends on its text alone,
    /// to the last bit. Runs on the ambient rayon pool, apart from all other calls; see
    /// [`crate::EmbeddingService`] for how a program's threads share their work.
    ///
    /// # Errors
    /// The tokenizer refuses a text.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<f32>> {
        let ids = self.tokenize(texts)?;
        let mut vectors = vec![0.0; texts.len() * self.dimension()];
        let mut packs = self.packs(&ids, &mut vectors);
        if let [(ids, vectors)] = packs.as_mut_slice() {
            self.encode_pack(ids, vectors, rayon::current_num_threads());
        } else {
            packs.par_iter_mut().for_each(|(ids, vectors)| self.encode_pack(ids, vectors, 1));
        }
        Ok(vectors)
    }

    /// The token ids that the model sees: special tokens added, cut to [`Encoder::max_tokens`].
    ///
    /// # Errors
    /// The tokenizer refuses a text.
    pub fn tokenize(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        let one = |(index, text): (usize, &&str)| {
            self.tokenizer.ids(text).map_err(|reason| Error::Tokenize { index, reason })
        };
        texts.par_iter().enumerate().map(one).collect()
    }

    /// The byte range of every token of the text, special tokens left out, nothing cut.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn token_offsets(&self, text: &str) -> Result<Vec<(u32, u32)>> {
        self.tokenizer.offsets(text).map_err(|reason| Error::Tokenize { index: 0, reason })
    }

    /// Cuts texts into runs, each with its rows: about as many tokens in each, at most
    /// about [`PACK_TOKENS`], and the same number of runs for every thread.
    fn packs<'a>(
        &self,
        mut ids: &'a [Vec<u32>],
        mut vectors: &'a mut [f32],
    ) -> Vec<(&'a [Vec<u32>], &'a mut [f32])> {
        let threads = rayon::current_num_threads();
        let mut left: usize = ids.iter().map(Vec::len).sum();
        let mut wanted = match left {
            ..=SINGLE_PACK_TOKENS => 1,
            _ => left.div_ceil(PACK_TOKENS).next_multiple_of(threads),
        };
        let mut packs = Vec::with_capacity(wanted);
        while !ids.is_empty() {
            let share = left.div_ceil(wanted);
            // A text that crosses the share's end goes where the larger part of it is.
            let mut tokens = 0;
            let fitting = ids.iter().take_while(|text| {
                let fits = tokens + text.len() / 2 < share;
                tokens += if fits { text.len() } else { 0 };
                fits
            });
            let count = fitting.count().max(1);
            let (pack, rest) = ids.split_at(count);
            let (rows, rows_rest) = vectors.split_at_mut(count * self.dimension());
            left -= pack.iter().map(Vec::len).sum::<usize>();
            wanted = (wanted - 1).max(1);
            packs.push((pack, rows));
            (ids, vectors) = (rest, rows_rest);
        }
        packs
    }

    /// The vectors of some texts, each layer shared out between `parts` threads.
    fn encode_pack(&self, ids: &[Vec<u32>], vectors: &mut [f32], parts: usize) {
        self.workspaces.lend(|workspace| {
            self.transformer.forward(ids, parts, workspace);
            let config = self.transformer.config();
            let dimension = config.hidden;
            let mut states = workspace.states.as_slice();
            for (text, vector) in ids.iter().zip(vectors.chunks_exact_mut(dimension)) {
                let (own, rest) = states.split_at(text.len() * dimension);
                config.pooling.pool(own, config.normalize, vector);
                states = rest;
            }
        });
    }
}

impl Workload for Encoder {
    type Item = String;
    type Sequence = Vec<u32>;

    fn width(&self) -> usize {
        self.dimension()
    }

    fn pack_tokens(&self) -> usize {
        PACK_TOKENS
    }

    fn estimate(&self, text: &String) -> usize {
        // Four bytes a token and two special ones, as in English.
        (text.len() / 4 + 2).min(self.max_tokens())
    }

    fn tokenize(&self, text: &String) -> std::result::Result<Vec<u32>, String> {
        self.tokenizer.ids(text)
    }

    fn tokens(&self, sequence: &Vec<u32>) -> usize {
        sequence.len()
    }

    fn is_cut(&self, text: &String, sequence: &Vec<u32>) -> bool {
        // Only what fills the model to the brim may have had more.
        sequence.len() >= self.max_tokens()
            && self.tokenizer.offsets(text).is_ok_and(|all| all.len() > self.content_tokens())
    }

    fn run(&self, pack: &[Vec<u32>], rows: &mut [f32]) -> std::result::Result<(), String> {
        let tokens: usize = pack.iter().map(Vec::len).sum();
        // A pack of one text, or of few tokens, is what an idle pool is asked for.
        let alone = pack.len() == 1 || tokens <= SINGLE_PACK_TOKENS;
        self.encode_pack(pack, rows, if alone { rayon::current_num_threads() } else { 1 });
        Ok(())
    }
}

/// Refuses a tokenizer with ids that the model has no vectors for.
pub(crate) fn check_vocabulary(folder: &Path, ids: usize, config: &Config) -> Result<()> {
    if ids <= config.vocabulary {
        return Ok(());
    }
    Err(Error::Malformed {
        path: folder.join("tokenizer.json"),
        reason: format!("it has ids up to {}, the model only {} words", ids - 1, config.vocabulary),
    })
}

/// Of the files and the settings that shape a vector.
pub(crate) fn fingerprint(config: &impl std::fmt::Debug, files: &[&Path]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let failed = |source| Error::Read { path: path.to_path_buf(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        hasher.update(&file.metadata().map_err(failed)?.len().to_le_bytes());
        hasher.update_reader(file).map_err(failed)?;
    }
    let settings = format!("{config:?}");
    hasher.update(&(settings.len() as u64).to_le_bytes());
    hasher.update(settings.as_bytes());
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}
