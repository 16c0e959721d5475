//! The indexes of a segment's vectors in fields.
//!
//! An index is a file beside the segment. It is derived: a flush or a merge writes those of its
//! segment, and where one is missing, damaged or of another release, the next search in its field
//! makes it anew from the records, without a graph, which the background builds then. Where it
//! cannot be written, because the disk is full or the process only reads, it is kept in memory.
//!
//! A lock is held while an index is made: others who search in the same place wait for it instead of
//! making it again. Nothing else takes these locks, and whoever holds one hands no work to other
//! threads; so none is held while a graph is built.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::dense_index::{DenseIndex, write_flat, write_graph};
use super::field::{FieldKind, VectorField};
use super::vectors::FieldVector;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::unfinished_path;
use crate::format::{DENSE_INDEX_SUFFIX, SPARSE_INDEX_SUFFIX};
use crate::generations::numbered_path;
use crate::graph::BuildOptions;
use crate::index_file::bytes::IndexBytes;
use crate::index_file::write::{FileTarget, MemoryTarget};
use crate::segment::Segment;
use crate::sparse_index::SparseIndex;
use crate::sparse_index::write::write_index;
use crate::sparse_vector::SparseVector;
use crate::upkeep::Progress;

/// The index of a field.
pub(crate) enum FieldIndex {
    Dense(Box<DenseIndex>),
    Sparse(Box<SparseIndex<IndexBytes>>),
}

/// The indexes of a segment's vectors in fields.
#[derive(Default)]
pub(crate) struct SegmentFields {
    /// Where indexes are written; `None` in a process that only reads.
    disk: Option<Disk>,
    /// By the numbers of the fields.
    indexes: Mutex<HashMap<u8, Known>>,
    memory_bytes: AtomicU64,
}

#[derive(Default)]
struct Known {
    index: Option<Arc<FieldIndex>>,
    /// How often it was found to be damaged.
    damaged: u32,
    /// There is no graph to be had.
    has_no_graph: bool,
}

/// Rows that are read from the medium together while a segment's records are gone over in order.
const ROWS_AHEAD: u32 = 1024;

impl SegmentFields {
    pub(crate) fn new(disk: Option<Disk>) -> Self {
        Self { disk, ..Self::default() }
    }

    /// The index of a field, which is made if need be.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where a record cannot be read.
    pub(crate) fn index(&self, segment: &Segment, number: u8) -> Result<Arc<FieldIndex>> {
        let mut indexes = self.indexes.lock();
        let known = indexes.entry(number).or_default();
        if let Some(index) = &known.index {
            return Ok(index.clone());
        }
        let field = field_of(segment, number)?;
        let written = match known.damaged {
            0 => open_fitting(segment, field),
            _ => None,
        };
        // What was damaged twice is on a bad medium. A file without the vectors of rows that are lost
        // would be wrong once the segment was brought back from a backup.
        let disk = self.disk.as_ref();
        let disk = disk.filter(|_| known.damaged < 2 && segment.lost_rows().is_empty());
        let index = match written {
            Some(index) => index,
            None => match disk.map(|disk| make(segment, number, field, Some(disk))) {
                Some(Ok(index)) => index,
                _ => make(segment, number, field, None)?,
            },
        };
        self.memory_bytes.fetch_add(index.memory_bytes(), Ordering::Relaxed);
        let index = Arc::new(index);
        known.index = Some(index.clone());
        Ok(index)
    }

    /// The index of a field, if somebody has asked for it.
    pub(crate) fn known(&self, number: u8) -> Option<Arc<FieldIndex>> {
        self.indexes.lock().get(&number)?.index.clone()
    }

    /// Whether a field has so many vectors, is compared one by one, and a graph was not tried yet.
    pub(crate) fn wants_graph(&self, number: u8, rows: std::ops::RangeInclusive<u32>) -> bool {
        self.disk.is_some()
            && self.indexes.lock().get(&number).is_some_and(|known| match known.index.as_deref() {
                Some(FieldIndex::Dense(index)) => {
                    !known.has_no_graph && index.graph().is_none() && rows.contains(&index.count())
                }
                Some(FieldIndex::Sparse(_)) | None => false,
            })
    }

    /// Puts a graph into the index of a field that wants one, on the ambient thread pool.
    ///
    /// # Errors
    /// `Interrupted` where `progress` says so. Where a graph cannot be built for another reason,
    /// the index stays as it is.
    pub(crate) fn build_graph(
        &self,
        segment: &Segment,
        number: u8,
        options: &BuildOptions,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (Some(disk), Some(known)) = (&self.disk, self.known(number)) else { return Ok(()) };
        let FieldIndex::Dense(flat) = &*known else { return Ok(()) };
        let path = index_path(segment, field_of(segment, number)?);
        let built = FileTarget::create(disk, &path)
            .and_then(|target| write_graph(target, flat, options, progress))
            .and_then(|_| DenseIndex::open(IndexBytes::map(&path)?, &path));
        let mut indexes = self.indexes.lock();
        let entry = indexes.entry(number).or_default();
        match built {
            Ok(index) => {
                remove_if_orphaned(disk, segment, &path);
                let index = FieldIndex::Dense(index.into());
                let bytes = index.memory_bytes();
                self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
                if let Some(before) = entry.index.replace(Arc::new(index)) {
                    self.memory_bytes.fetch_sub(before.memory_bytes(), Ordering::Relaxed);
                }
                Ok(())
            }
            Err(error) => {
                // Where this fails, the next opening removes the file.
                let _ = disk.remove_file(&unfinished_path(&path));
                match error {
                    Error::Interrupted { .. } => Err(error),
                    _ => {
                        entry.has_no_graph = true;
                        Ok(())
                    }
                }
            }
        }
    }

    /// Lets go of an index that is damaged; returns whether it was one of these.
    pub(crate) fn discard(&self, segment: &Segment, path: &Path) -> bool {
        let mut indexes = self.indexes.lock();
        for (number, known) in indexes.iter_mut() {
            let is_it =
                field_of(segment, *number).is_ok_and(|field| index_path(segment, field) == path);
            if is_it && let Some(index) = known.index.take() {
                self.memory_bytes.fetch_sub(index.memory_bytes(), Ordering::Relaxed);
                known.damaged += 1;
                return true;
            }
        }
        false
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

impl FieldIndex {
    /// Vectors that a graph finds.
    pub(crate) fn graph_rows(&self) -> u32 {
        match self {
            Self::Dense(index) if index.graph().is_some() => index.count(),
            Self::Dense(_) | Self::Sparse(_) => 0,
        }
    }

    fn memory_bytes(&self) -> u64 {
        match self {
            Self::Dense(index) => index.memory_bytes(),
            Self::Sparse(index) => index.table_bytes() + index.bytes().memory_bytes(),
        }
    }
}

/// Reads all of an index, to know that it is sound. One of another release is sound.
///
/// # Errors
/// `Corrupt` names what is damaged; `Io`.
pub(crate) fn verify_index(path: &Path) -> Result<()> {
    let bytes = IndexBytes::map(path)?;
    let verified = match path.to_string_lossy().ends_with(DENSE_INDEX_SUFFIX) {
        true => DenseIndex::open(bytes, path).and_then(|index| index.verify()),
        false => SparseIndex::open(bytes, path).and_then(|index| index.verify()),
    };
    match verified {
        Err(Error::Version { .. }) => Ok(()),
        verified => verified,
    }
}

fn field_of(segment: &Segment, number: u8) -> Result<&VectorField> {
    segment.fields().get(usize::from(number)).ok_or_else(|| {
        Error::InvalidArgument(format!("the collection has no field of number {number}"))
    })
}

/// Where the index of a segment's vectors in a field is.
fn index_path(segment: &Segment, field: &VectorField) -> PathBuf {
    let folder = segment.path().parent().unwrap_or(Path::new(""));
    let suffix = match field.kind {
        FieldKind::Dense(_) => DENSE_INDEX_SUFFIX,
        FieldKind::Sparse => SPARSE_INDEX_SUFFIX,
    };
    numbered_path(folder, segment.number(), &format!(".{}{suffix}", field.name))
}

/// The index at its place, if it is one of this field of this very segment.
fn open_fitting(segment: &Segment, field: &VectorField) -> Option<FieldIndex> {
    let path = index_path(segment, field);
    // Whatever else is there is no error: it will be replaced.
    let index = open(&path, IndexBytes::map(&path).ok()?, field).ok()?;
    let (identity, name) = (segment.identity(), &field.name);
    let fits = match (&index, field.kind) {
        (FieldIndex::Dense(index), FieldKind::Dense(dense)) => index.is_of(identity, name, &dense),
        (FieldIndex::Sparse(index), FieldKind::Sparse) => {
            index.header.identity == identity && index.header.name == *name
        }
        _ => false,
    };
    fits.then_some(index)
}

fn open(path: &Path, bytes: IndexBytes, field: &VectorField) -> Result<FieldIndex> {
    Ok(match field.kind {
        FieldKind::Dense(_) => FieldIndex::Dense(DenseIndex::open(bytes, path)?.into()),
        FieldKind::Sparse => FieldIndex::Sparse(SparseIndex::open(bytes, path)?.into()),
    })
}

/// Makes the index of a field from the segment's records, in memory where there is no disk.
fn make(
    segment: &Segment,
    number: u8,
    field: &VectorField,
    disk: Option<&Disk>,
) -> Result<FieldIndex> {
    let path = index_path(segment, field);
    let made = match disk {
        None => write(segment, number, field, MemoryTarget::new()).map(IndexBytes::Memory),
        Some(disk) => FileTarget::create(disk, &path)
            .and_then(|target| write(segment, number, field, target))
            .and_then(|_| IndexBytes::map(&path)),
    };
    if let Some(disk) = disk {
        match &made {
            Ok(_) => remove_if_orphaned(disk, segment, &path),
            // Where this fails, the next opening removes the file.
            Err(_) => drop(disk.remove_file(&unfinished_path(&path))),
        }
    }
    open(&path, made?, field)
}

fn write<T: crate::index_file::write::Target>(
    segment: &Segment,
    number: u8,
    field: &VectorField,
    target: T,
) -> Result<Vec<u8>> {
    let vector = |row: u32| -> Result<Option<FieldVector>> {
        if row.is_multiple_of(ROWS_AHEAD) {
            segment.prefetch(row..row.saturating_add(2 * ROWS_AHEAD));
        }
        // A lost row is nobody's hit.
        if segment.is_lost(row) { Ok(None) } else { segment.field_vector(row, number) }
    };
    let identity = segment.identity();
    match field.kind {
        FieldKind::Dense(dense) => write_flat(target, identity, &field.name, &dense, &|row| {
            Ok(vector(row)?.and_then(FieldVector::into_dense))
        }),
        FieldKind::Sparse => {
            let sparse = |row| -> Result<Option<SparseVector>> {
                Ok(vector(row)?.and_then(FieldVector::into_sparse))
            };
            write_index(target, identity, &field.name, &sparse)
        }
    }
}

/// A snapshot may still have a segment that was merged and whose file is gone.
fn remove_if_orphaned(disk: &Disk, segment: &Segment, path: &Path) {
    if !segment.path().exists() {
        // Where this fails, the next opening removes the file.
        let _ = disk.remove_file(path);
    }
}
