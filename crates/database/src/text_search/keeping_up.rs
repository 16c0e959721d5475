//! Keeping the indexes of words up with what is written.
//!
//! While somebody searches by words, a flush makes the index of its segment before searches meet
//! the segment. Otherwise nobody waits for it, and a load is not to be slowed down: a thread of its
//! own makes it once the segment is there, in the time that the processors have left. A search that
//! comes sooner makes what it needs.

use std::collections::HashSet;
use std::sync::Arc;

use super::files::indexed_keys;
use super::index::header::IndexKey;
use super::segment_texts::Origins;
use crate::segment::Segment;
use crate::store::Store;

impl Store {
    /// Indexes the words of a segment that a head became, in the ways in which the head was searched
    /// and those in which other segments are indexed; unless `now`, later.
    pub(crate) fn prepare_flushed_texts(
        &self,
        segment: Option<&Segment>,
        searched: Vec<IndexKey>,
        now: bool,
    ) {
        let Some(segment) = segment else { return };
        for key in self.text_keys(searched) {
            match now || self.view().is_searched_by_words() {
                // What cannot be read is the news of the search that needs it.
                true => drop(segment.texts().prepare(segment, &key, None)),
                false => segment.texts().expect(key),
            }
        }
    }

    /// Indexes the words of a segment that others became.
    pub(crate) fn prepare_merged_texts(&self, segment: Option<&Segment>, origins: &Origins<'_>) {
        let Some(segment) = segment else { return };
        for key in self.text_keys(Vec::new()) {
            // As above.
            let _ = segment.texts().prepare(segment, &key, Some(origins));
        }
    }

    /// Has the background make the indexes that segments lack.
    pub(crate) fn index_texts_soon(self: &Arc<Self>) {
        if !self.text_keys(Vec::new()).is_empty() {
            self.upkeep().index_soon(self);
        }
    }

    /// Makes the indexes that segments lack.
    pub(crate) fn index_texts(&self) {
        let Ok(segments) = self.state().map(|state| state.segments().clone()) else { return };
        let keys = self.text_keys(Vec::new());
        for segment in segments.iter().map(|live| &live.segment) {
            for key in &keys {
                if self.is_stopping() {
                    return;
                }
                // One that was merged meanwhile is searched in no new snapshot.
                if segment.path().exists() {
                    // As above.
                    let _ = segment.texts().prepare(segment, key, None);
                }
            }
        }
    }

    /// What is searched by words: these, and what the collection's segments know or have files of.
    fn text_keys(&self, searched: Vec<IndexKey>) -> Vec<IndexKey> {
        let mut keys = searched;
        let known = self.state().map(|state| {
            let segments = state.segments().iter();
            segments.flat_map(|live| live.segment.texts().keys()).collect::<Vec<_>>()
        });
        keys.extend(known.unwrap_or_default());
        keys.extend(indexed_keys(self.folder()).unwrap_or_default());
        let mut distinct = HashSet::new();
        keys.retain(|key| distinct.insert(key.clone()));
        keys
    }
}
