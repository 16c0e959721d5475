//! A graph that was built, read where it lies.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::{Backend, ElementType, NEIGHBOURS_PER_BLOCK, Rotation};

use super::edges::Scales;
use super::error::GraphError;
use super::header::Header;
use super::layout::{Block, Layout, PAGE_BYTES, RECORD_FIXED_BYTES, f32_at};
use super::query::Query;
use super::walk::{Nodes, Start};
use super::write::{record_is_whole, scales_of};
use crate::schema::Metric;
use crate::score;
use crate::score::exact_score;

/// The bytes of a graph: in memory, or mapped from a file.
pub trait Region: Send + Sync {
    /// All of them, always the same.
    fn bytes(&self) -> &[u8];

    /// Says that a range will be read soon, some visits before it is: a mapped file that is larger
    /// than memory asks the operating system for its pages. Does nothing by default, which is right
    /// for bytes in memory.
    fn request(&self, range: Range<usize>) {
        let _ = range;
    }
}

impl<T: AsRef<[u8]> + Send + Sync> Region for T {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }
}

/// A graph to search.
///
/// A record is compared with its checksum when it is first scored. Whoever searches asks
/// [`Graph::check_met`] afterwards: damaged bytes make wrong scores or neighbours, never a panic or
/// an endless walk.
pub struct Graph<R> {
    region: R,
    pub(super) header: Header,
    pub(super) rotation: Rotation,
    pub(super) centre: Vec<f32>,
    pub(crate) backend: Backend,
    entry_scales: Scales,
    entry_blocks: Range<usize>,
    records_offset: usize,
    record_bytes: usize,
    vector: Range<usize>,
    block_bytes: usize,
    /// A bit a record: it is what was written.
    checked: Box<[AtomicU64]>,
    /// One more than the number of a damaged record that was met; 0 for none.
    damaged: AtomicU64,
}

impl<R: Region> Graph<R> {
    /// Opens the graph at the start of `region`, which may be longer. Reads and checks the header
    /// and the entry points, some 100 KB, whatever the size of the graph.
    ///
    /// # Errors
    /// The bytes are not a graph of a version that this build reads, or are too few.
    pub fn open(region: R) -> Result<Self, GraphError> {
        let bytes = region.bytes();
        let header = Header::read(bytes)?;
        let layout = header.layout;
        let section = &bytes[PAGE_BYTES..layout.records_offset()];
        if crc32fast::hash(section) != header.section_checksum {
            return Err(GraphError::Damaged {
                offset: PAGE_BYTES as u64,
                reason: "the checksum of its entry points is wrong",
            });
        }
        Ok(Self::with_header(region, header))
    }

    /// The region is as long as the header says.
    pub(super) fn with_header(region: R, header: Header) -> Self {
        let layout = header.layout;
        let section = &region.bytes()[PAGE_BYTES..layout.records_offset()];
        let blocks = layout.entry_blocks_offset();
        let centre = section[RECORD_FIXED_BYTES..blocks]
            .chunks_exact(4)
            .map(|number| f32_at(number, 0))
            .collect();
        let entry_scales = scales_of(section);
        let first = PAGE_BYTES + blocks;
        Self {
            rotation: Rotation::new(layout.dimension, header.seed),
            centre,
            backend: Backend::active(),
            entry_scales,
            entry_blocks: first..first + layout.entry_blocks * layout.block_bytes(),
            records_offset: layout.records_offset(),
            record_bytes: layout.record_bytes(),
            vector: layout.vector_offset()
                ..layout.vector_offset() + layout.element.row_bytes(layout.dimension),
            block_bytes: layout.block_bytes(),
            checked: (0..layout.count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            damaged: AtomicU64::new(0),
            header,
            region,
        }
    }

    fn layout(&self) -> &Layout {
        &self.header.layout
    }

    /// Rows in the graph.
    pub fn count(&self) -> u32 {
        self.layout().count
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        self.layout().dimension
    }

    /// Numbers of a vector that codes have bits for, without those that only make it longer.
    pub fn coded(&self) -> usize {
        self.layout().coded.min(self.layout().dimension)
    }

    /// How vectors are compared.
    pub fn metric(&self) -> Metric {
        self.layout().metric
    }

    /// How records keep vectors.
    pub fn element(&self) -> ElementType {
        self.layout().element
    }

    /// Bytes of the region that are the graph's.
    pub fn region_bytes(&self) -> u64 {
        self.layout().region_bytes()
    }

    /// Bytes from one record to the next.
    pub fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Prepares a finite vector to be compared with rows of this graph.
    ///
    /// # Panics
    /// It is not of the graph's dimension.
    pub fn prepare<'q>(&self, vector: &'q [f32]) -> Query<'q> {
        Query::new(vector, &self.header, &self.rotation, &self.centre, self.backend)
    }

    /// The exact score of a row; larger is better, and none is NaN.
    ///
    /// # Panics
    /// There is no such row.
    #[inline]
    pub fn score(&self, query: &Query<'_>, row: u32) -> f32 {
        self.check(row);
        let record = self.record(row);
        let score = query.scorer.score(&record[self.vector.clone()]);
        let score = match self.header.layout.metric {
            Metric::Cosine => score * (f32_at(record, 0) * query.inverse_norm),
            Metric::Dot => score,
            Metric::L2 | Metric::Hamming => -score,
        };
        if score.is_finite() {
            return score;
        }
        let mut vector = vec![0.0; self.dimension()];
        self.vector(row, &mut vector);
        let score = exact_score(query.vector, &vector, self.header.layout.metric);
        // Bytes that are damaged may say NaN.
        if score.is_nan() { f32::NEG_INFINITY } else { score }
    }

    /// Copies the vector of a row, as its type keeps it.
    ///
    /// # Panics
    /// There is no such row, or `out` is not of the graph's dimension.
    pub fn vector(&self, row: u32, out: &mut [f32]) {
        let stored = &self.record(row)[self.vector.clone()];
        self.backend.decode_row(self.header.layout.element, stored, out);
    }

    /// A row's vector as it is stored, and one over its length if the metric is cosine.
    ///
    /// # Panics
    /// There is no such row.
    pub fn stored(&self, row: u32) -> (&[u8], f32) {
        let record = self.record(row);
        (&record[self.vector.clone()], f32_at(record, 0))
    }

    /// Scores rows, which exist, as rows of vectors that are in no graph are: no score is NaN.
    ///
    /// # Errors
    /// `Damaged` where a record is not what was written.
    pub(crate) fn score_stored(
        &self,
        query: &score::Query<'_>,
        rows: Range<u32>,
        scores: &mut [f32],
    ) -> Result<(), GraphError> {
        for (row, score) in rows.zip(scores) {
            if !self.is_trusted(row) {
                self.verify(row)?;
            }
            let (stored, inverse_norm) = self.stored(row);
            let score = std::slice::from_mut(score);
            query.score_stored(self.element(), stored, &[inverse_norm], score);
            // Bytes with a right checksum may say NaN.
            if score[0].is_nan() {
                score[0] = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Hints that a row will be scored soon. Nothing is asked of the operating system: that pays for
    /// nodes alone, whose walks know whether they wait.
    ///
    /// # Panics
    /// There is no such row.
    #[inline]
    pub fn request_vector(&self, row: u32) {
        self.backend.prefetch(&self.record(row)[self.vector.clone()]);
    }

    /// Hints that a row's neighbours will be looked at soon.
    #[inline]
    pub(super) fn request_edges(&self, row: u32) {
        let start = self.record_range(row).start;
        self.region.request(start..start + self.vector.start);
        self.backend.prefetch(&self.record(row)[..self.vector.start]);
    }

    /// Compares a record with its checksum, if that was not done before.
    #[inline]
    pub(super) fn check(&self, row: u32) {
        let (word, bit) = (&self.checked[row as usize / 64], 1 << (row % 64));
        // Nothing is published by a bit but itself, since the bytes never change: no order is needed.
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.check_now(row);
        }
    }

    #[cold]
    fn check_now(&self, row: u32) {
        match record_is_whole(self.record(row)) {
            true => self.trust(row),
            false => self.damaged.store(u64::from(row) + 1, Ordering::Relaxed),
        }
    }

    /// Takes a record's vector for what was written from now on: for those who know by other means.
    pub(crate) fn trust(&self, row: u32) {
        self.checked[row as usize / 64].fetch_or(1 << (row % 64), Ordering::Relaxed);
    }

    /// Whether a record was found to be what was written.
    pub(crate) fn is_trusted(&self, row: u32) -> bool {
        self.check(row);
        self.checked[row as usize / 64].load(Ordering::Relaxed) & 1 << (row % 64) != 0
    }

    /// Tells whether a damaged record was met, by this search or by another one.
    ///
    /// # Errors
    /// `Damaged`, with where the record is.
    pub fn check_met(&self) -> Result<(), GraphError> {
        match self.damaged.load(Ordering::Relaxed) {
            0 => Ok(()),
            row => Err(self.damaged_record((row - 1) as u32)),
        }
    }

    fn damaged_record(&self, row: u32) -> GraphError {
        GraphError::Damaged {
            offset: self.record_range(row).start as u64,
            reason: "the checksum of a record is wrong",
        }
    }

    /// Where a row's vector, and what it takes to score it, are in the region.
    pub(crate) fn vector_ranges(&self, row: u32) -> [Range<usize>; 2] {
        let start = self.record_range(row).start;
        [start..start + 4, start + self.vector.start..start + self.vector.end]
    }

    /// Checks that a row's record is as it was written.
    ///
    /// # Errors
    /// `Damaged`, with where the record is.
    ///
    /// # Panics
    /// There is no such row.
    pub fn verify(&self, row: u32) -> Result<(), GraphError> {
        if record_is_whole(self.record(row)) {
            return Ok(());
        }
        Err(self.damaged_record(row))
    }

    pub(crate) fn start(&self, query: &Query<'_>) -> Start<'_> {
        Start {
            blocks: &self.region.bytes()[self.entry_blocks.clone()],
            block_bytes: self.block_bytes,
            scales: self.entry_scales,
            base: query.entry_base,
        }
    }

    /// The entry points; a number may occur twice.
    pub(super) fn entry_rows(&self) -> Vec<u32> {
        let blocks = self.region.bytes()[self.entry_blocks.clone()].chunks_exact(self.block_bytes);
        let blocks = blocks.map(|block| Block::new(block, self.entry_scales));
        let rows = blocks.flat_map(|block| (0..NEIGHBOURS_PER_BLOCK).map(move |at| block.id(at)));
        // A number beyond the end is damage.
        rows.filter(|&row| row < self.count()).collect()
    }

    #[inline]
    fn record_range(&self, row: u32) -> Range<usize> {
        let start = self.records_offset + row as usize * self.record_bytes;
        start..start + self.record_bytes
    }

    #[inline]
    fn record(&self, row: u32) -> &[u8] {
        assert!(row < self.header.layout.count, "there is no row {row}");
        &self.region.bytes()[self.record_range(row)]
    }
}

impl<R: Region> Nodes for Graph<R> {
    #[inline]
    fn count(&self) -> u32 {
        self.header.layout.count
    }

    #[inline]
    fn request(&self, node: u32) {
        self.region.request(self.record_range(node));
        self.backend.prefetch(self.record(node));
    }

    #[inline]
    fn blocks(&self, node: u32) -> impl Iterator<Item = Block<'_>> {
        let record = self.record(node);
        let scales = scales_of(record);
        let blocks = record[RECORD_FIXED_BYTES..self.vector.start].chunks_exact(self.block_bytes);
        blocks.map(move |block| Block::new(block, scales))
    }
}
