//! Texts to vectors for a program: through the cache, and what is not in it through the scheduler.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{EmbeddingCache, Key};
use crate::error::{Error, Result};
use crate::scheduler::{Call, Effort, OnFinish, Progress, Scheduler, WAIT_INTERVAL};
use crate::text_model::TextModel;

/// An encoder's scheduler, and the cache that is asked first.
#[derive(Clone)]
pub struct EmbeddingService {
    scheduler: Arc<Scheduler<TextModel>>,
    cache: Option<Arc<EmbeddingCache>>,
}

/// A call that is under way. Dropping it cancels what has not begun.
pub struct EmbeddingCall {
    call: Call<TextModel>,
    /// What the cache knew, and where.
    cached: Option<Cached>,
}

struct Cached {
    cache: Arc<EmbeddingCache>,
    keys: Vec<Key>,
    rows: Vec<f32>,
    missing: Vec<usize>,
}

impl EmbeddingService {
    /// Without a cache every text is computed.
    pub fn new(
        scheduler: Arc<Scheduler<TextModel>>,
        cache: Option<Arc<EmbeddingCache>>,
    ) -> EmbeddingService {
        EmbeddingService { scheduler, cache }
    }

    /// The model.
    pub fn model(&self) -> &TextModel {
        self.scheduler.workload()
    }

    /// Begins a call; see [`Scheduler::submit`].
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `go_on` says so.
    pub fn submit(
        &self,
        texts: Vec<String>,
        go_on: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<EmbeddingCall> {
        let (cached, texts) = self.ask_cache(texts);
        Ok(EmbeddingCall { call: self.scheduler.submit(texts, go_on)?, cached })
    }

    /// Begins a call that is not held up; see [`Scheduler::submit_now`].
    pub fn submit_now(&self, texts: Vec<String>, on_finish: OnFinish) -> EmbeddingCall {
        let (cached, texts) = self.ask_cache(texts);
        EmbeddingCall { call: self.scheduler.submit_now(texts, Some(on_finish)), cached }
    }

    /// The vectors of texts. `progress` is told on this thread how many are done, now and then, and
    /// stops the call when it says so.
    ///
    /// # Errors
    /// A text cannot be tokenized; the model failed; [`Error::Interrupted`].
    pub fn embed(
        &self,
        texts: Vec<String>,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Vec<f32>> {
        let total = texts.len();
        let call = self.submit(texts, &|| progress(0))?;
        let mut seen = 0;
        loop {
            let now = call.wait(seen, WAIT_INTERVAL);
            let stop = progress(now.done).is_break();
            if now.finished {
                return call.take();
            }
            if stop {
                return Err(Error::Interrupted { done: now.done, total });
            }
            seen = now.done;
        }
    }

    /// What the cache has, and the texts that are left to be computed.
    fn ask_cache(&self, texts: Vec<String>) -> (Option<Cached>, Vec<String>) {
        let width = self.model().dimension();
        let Some(cache) = self.cache.clone().filter(|cache| cache.keeps(texts.len(), width)) else {
            return (None, texts);
        };
        // Another precision gives other bits.
        let model = format!("{} {:?}", self.model().fingerprint(), self.model().precision());
        let keys: Vec<Key> = texts.iter().map(|text| EmbeddingCache::key(&model, text)).collect();
        let mut rows = vec![0.0; texts.len() * width];
        let missing = cache.fill(&keys, &mut rows, width);
        let mut wanted = missing.iter().copied().peekable();
        let is_missing = |(index, _): &(usize, String)| wanted.next_if_eq(index).is_some();
        let texts = texts.into_iter().enumerate().filter(is_missing).map(|(_, text)| text);
        let texts = texts.collect();
        (Some(Cached { cache, keys, rows, missing }), texts)
    }
}

impl EmbeddingCall {
    fn add_cached(&self, progress: Progress) -> Progress {
        let known =
            self.cached.as_ref().map_or(0, |cached| cached.keys.len() - cached.missing.len());
        Progress { done: progress.done + known, ..progress }
    }

    /// Waits until more than `seen` texts are done or the call is finished, `timeout` at most.
    pub fn wait(&self, seen: usize, timeout: Duration) -> Progress {
        let known = self.add_cached(Progress { done: 0, finished: false }).done;
        // More than what the cache had may have been seen only once.
        match seen.checked_sub(known) {
            Some(seen) => self.add_cached(self.call.wait(seen, timeout)),
            None => self.add_cached(self.call.progress()),
        }
    }

    /// How many texts it has.
    pub fn texts(&self) -> usize {
        self.cached.as_ref().map_or_else(|| self.call.items(), |cached| cached.keys.len())
    }

    /// What the computed texts took.
    pub fn effort(&self) -> Effort {
        self.call.effort()
    }

    /// The vectors of a finished call, row by row.
    ///
    /// # Errors
    /// Why it failed; [`Error::Interrupted`] where it is not finished, and then it never will be.
    pub fn take(self) -> Result<Vec<f32>> {
        let computed = self.call.take();
        let Some(Cached { cache, keys, mut rows, missing }) = self.cached else {
            return computed;
        };
        // A text's place among the computed ones is not its place in the call.
        let computed = computed.map_err(|error| match error {
            Error::Tokenize { index, reason } => Error::Tokenize { index: missing[index], reason },
            other => other,
        })?;
        if missing.is_empty() {
            return Ok(rows);
        }
        let width = computed.len() / missing.len();
        for (&index, row) in missing.iter().zip(computed.chunks_exact(width)) {
            rows[index * width..][..width].copy_from_slice(row);
        }
        cache.insert(missing.iter().map(|&index| keys[index]).zip(computed.chunks_exact(width)));
        Ok(rows)
    }
}
