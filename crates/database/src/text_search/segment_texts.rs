//! The indexes of a segment's words.
//!
//! An index is a file beside the segment. It is derived: where it is missing, damaged or of another
//! release, the next search by words makes it anew from the segment. Where it cannot be written,
//! because the disk is full or the process only reads, it is kept in memory.
//!
//! A lock is held while an index is made: others who search by words in the same place wait for it
//! instead of making it again. Nothing else takes these locks, and whoever holds one hands no work
//! to other threads.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::builder::TextIndexBuilder;
use super::field::text_of;
use super::files::{index_path, open_index};
use super::index::TextIndex;
use super::index::header::{Identity, IndexKey};
use super::index::merge::{NewRows, merge};
use super::index::postings::Cursor;
use crate::disk::Disk;
use crate::error::Result;
use crate::files::unfinished_path;
use crate::index_file::bytes::IndexBytes;
use crate::index_file::write::{FileTarget, MemoryTarget};
use crate::segment::Segment;

pub(crate) type SegmentIndex = TextIndex<IndexBytes>;

pub(super) type SegmentCursor<'a> = Cursor<'a, IndexBytes>;

/// Memory that an index in the making takes before it is written as a run, to be merged with the
/// others at the end.
const RUN_BYTES: u64 = 64 << 20;

/// The indexes of a segment's words.
#[derive(Default)]
pub(crate) struct SegmentTexts {
    /// Where indexes are written; `None` in a process that only reads.
    disk: Option<Disk>,
    /// What somebody searches. Held for a moment only, whatever else is held.
    keys: Mutex<HashSet<IndexKey>>,
    indexes: Mutex<HashMap<IndexKey, Known>>,
    memory_bytes: AtomicU64,
}

#[derive(Default)]
struct Known {
    index: Option<Arc<SegmentIndex>>,
    /// How often it was found to be damaged.
    damaged: u32,
}

/// What an index can be merged from, instead of being made from texts.
pub(crate) struct Origins<'a> {
    /// The segments, in order.
    pub(crate) segments: Vec<&'a Segment>,
    /// Which row of which of them each row is.
    pub(crate) rows: &'a [(u32, u32)],
}

impl SegmentTexts {
    pub(crate) fn new(disk: Option<Disk>) -> Self {
        Self { disk, ..Self::default() }
    }

    /// The index of these words, which is made if need be.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where a text cannot be read.
    pub(super) fn index(&self, segment: &Segment, key: &IndexKey) -> Result<Arc<SegmentIndex>> {
        self.index_from(segment, key, None)
    }

    /// As [`SegmentTexts::index`], of what a new segment was merged from.
    pub(crate) fn prepare(
        &self,
        segment: &Segment,
        key: &IndexKey,
        origins: Option<&Origins<'_>>,
    ) -> Result<()> {
        self.index_from(segment, key, origins).map(drop)
    }

    /// Says that somebody will search these words.
    pub(crate) fn expect(&self, key: IndexKey) {
        self.keys.lock().insert(key);
    }

    fn index_from(
        &self,
        segment: &Segment,
        key: &IndexKey,
        origins: Option<&Origins<'_>>,
    ) -> Result<Arc<SegmentIndex>> {
        self.expect(key.clone());
        let mut indexes = self.indexes.lock();
        let known = indexes.entry(key.clone()).or_default();
        if let Some(index) = &known.index {
            return Ok(index.clone());
        }
        let path = path_of(segment, key);
        let written = match known.damaged {
            0 => open_fitting(&path, segment, key),
            _ => None,
        };
        // What was damaged twice is on a bad medium. A file without the texts of rows that are lost
        // would be wrong once the segment was brought back from a backup.
        let disk = self.disk.as_ref();
        let disk = disk.filter(|_| known.damaged < 2 && segment.lost_rows().is_empty());
        let index = match written {
            Some(index) => index,
            None => {
                let made = disk.map(|disk| Making { segment, key, disk: Some(disk) }.make(origins));
                match made {
                    Some(Ok(index)) => index,
                    _ => Making { segment, key, disk: None }.make(origins)?,
                }
            }
        };
        self.memory_bytes.fetch_add(memory_bytes(&index), Ordering::Relaxed);
        let index = Arc::new(index);
        known.index = Some(index.clone());
        Ok(index)
    }

    /// The index of these words, if it is there already.
    fn present(&self, segment: &Segment, key: &IndexKey) -> Option<Arc<SegmentIndex>> {
        if let Some(index) = self.indexes.lock().get(key).and_then(|known| known.index.clone()) {
            return Some(index);
        }
        open_fitting(&path_of(segment, key), segment, key).map(Arc::new)
    }

    /// Lets go of an index that is damaged; returns whether it was one of these.
    pub(crate) fn discard(&self, segment: &Segment, path: &Path) -> bool {
        let mut indexes = self.indexes.lock();
        for (key, known) in indexes.iter_mut() {
            if path_of(segment, key) == path
                && let Some(index) = known.index.take()
            {
                self.memory_bytes.fetch_sub(memory_bytes(&index), Ordering::Relaxed);
                known.damaged += 1;
                return true;
            }
        }
        false
    }

    /// What was searched, or is expected to be.
    pub(crate) fn keys(&self) -> Vec<IndexKey> {
        self.keys.lock().iter().cloned().collect()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

fn path_of(segment: &Segment, key: &IndexKey) -> PathBuf {
    let folder = segment.path().parent().unwrap_or(Path::new(""));
    index_path(folder, segment.number(), key)
}

/// The index at a path, if it is one of these words of this very segment.
fn open_fitting(path: &Path, segment: &Segment, key: &IndexKey) -> Option<SegmentIndex> {
    // Whatever else is there is no error: it will be replaced.
    let index = open_index(path).ok()?;
    let header = index.header();
    (header.identity == segment.identity() && header.key == *key).then_some(index)
}

/// An index in the making.
struct Making<'a> {
    segment: &'a Segment,
    key: &'a IndexKey,
    /// `None` for one in memory.
    disk: Option<&'a Disk>,
}

impl Making<'_> {
    fn make(&self, origins: Option<&Origins<'_>>) -> Result<SegmentIndex> {
        let path = path_of(self.segment, self.key);
        let made = match origins.map(|origins| self.merged(origins, &path)) {
            Some(Ok(Some(index))) => Ok(index),
            // An origin has no sound index: the texts are as good.
            _ => self.read_texts(&path),
        };
        let Some(disk) = self.disk else { return made };
        // Where these fail, the next opening removes the file.
        if made.is_err() {
            let _ = disk.remove_file(&unfinished_path(&path));
        } else if !self.segment.path().exists() {
            // A snapshot still has the segment, but it was merged and its file is gone.
            let _ = disk.remove_file(&path);
        }
        made
    }

    /// Merges what the origins have; `None` where one has no index.
    fn merged(&self, origins: &Origins<'_>, path: &Path) -> Result<Option<SegmentIndex>> {
        let indexes: Option<Vec<Arc<SegmentIndex>>> = origins
            .segments
            .iter()
            .map(|segment| segment.texts().present(segment, self.key))
            .collect();
        let Some(indexes) = indexes else {
            return Ok(None);
        };
        let mut rows: Vec<Vec<u32>> =
            indexes.iter().map(|index| vec![u32::MAX; index.rows() as usize]).collect();
        for (new, (origin, row)) in (0..).zip(origins.rows) {
            rows[*origin as usize][*row as usize] = new;
        }
        let rows = rows.into_iter().map(NewRows::Listed);
        let sources: Vec<(&SegmentIndex, NewRows)> =
            indexes.iter().map(|index| &**index).zip(rows).collect();
        self.merge(&sources, self.segment.identity(), path).map(Some)
    }

    fn read_texts(&self, path: &Path) -> Result<SegmentIndex> {
        let identity = self.segment.identity();
        let mut runs: Vec<(SegmentIndex, NewRows)> = Vec::new();
        let mut first = 0;
        let mut builder = TextIndexBuilder::new(self.key.language);
        for row in 0..identity.rows {
            // A lost row is nobody's hit.
            let text = match self.segment.is_lost(row) {
                true => None,
                false => text_of(self.segment, row, self.key)?,
            };
            builder.push(text.as_deref());
            if builder.memory_bytes() > RUN_BYTES && row + 1 < identity.rows {
                let full =
                    std::mem::replace(&mut builder, TextIndexBuilder::new(self.key.language));
                runs.push((self.run(full, path, runs.len())?, NewRows::From(first)));
                first = row + 1;
            }
        }
        if runs.is_empty() {
            return self.write(builder, identity, path);
        }
        runs.push((self.run(builder, path, runs.len())?, NewRows::From(first)));
        let sources: Vec<(&SegmentIndex, NewRows)> =
            runs.iter().map(|(index, rows)| (index, rows.clone())).collect();
        self.merge(&sources, identity, path)
    }

    /// The index of some of the rows. Its file is removed at once, and goes with the mapping.
    fn run(&self, builder: TextIndexBuilder, path: &Path, number: usize) -> Result<SegmentIndex> {
        let rows = builder.rows();
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let path = unfinished_path(Path::new(&name));
        let run = self.write(builder, Identity { rows, ..self.segment.identity() }, &path);
        if let Some(disk) = self.disk {
            // As above.
            let _ = disk.remove_file(&path);
        }
        run
    }

    fn write(
        &self,
        builder: TextIndexBuilder,
        identity: Identity,
        path: &Path,
    ) -> Result<SegmentIndex> {
        let key = self.key.clone();
        match self.disk {
            Some(disk) => {
                builder.write(FileTarget::create(disk, path)?, identity, key)?;
                open_index(path)
            }
            None => in_memory(builder.write(MemoryTarget::new(), identity, key)?, path),
        }
    }

    fn merge(
        &self,
        sources: &[(&SegmentIndex, NewRows)],
        identity: Identity,
        path: &Path,
    ) -> Result<SegmentIndex> {
        let key = self.key.clone();
        match self.disk {
            Some(disk) => {
                merge(sources, FileTarget::create(disk, path)?, identity, key)?;
                open_index(path)
            }
            None => in_memory(merge(sources, MemoryTarget::new(), identity, key)?, path),
        }
    }
}

fn in_memory(bytes: Vec<u8>, path: &Path) -> Result<SegmentIndex> {
    TextIndex::open(IndexBytes::Memory(bytes), path)
}

/// What an index takes of memory, mapped pages apart.
fn memory_bytes(index: &SegmentIndex) -> u64 {
    index.table_bytes() + index.bytes().memory_bytes()
}
