//! The index of a segment's vectors in a dense field, in a file of its own.
//!
//! It holds those rows' vectors that have one, in the order of the rows, which its places count:
//! one behind the other, or in the nodes of a graph. Where some rows have none, a table says the row
//! of each place. `docs/file-format.md` has the bytes.

mod header;
mod write;

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernels::Backend;

use self::header::Header;
pub(super) use self::write::{write_flat, write_graph};
use super::field::DenseField;
use crate::bytes::floats_of;
use crate::error::{Error, Result};
use crate::format::{CHECKED_PAGE_BYTES, INDEX_FILE_HEADER_BYTES};
use crate::graph::{Graph, Region};
use crate::index_file::bytes::IndexBytes;
use crate::paged::Pages;
use crate::schema::Metric;
use crate::score::Query;
use crate::segment::{Residence, error_of};
use crate::text_search::Identity;

/// Bytes that the pages of the index and its graph share.
#[derive(Clone)]
struct SharedBytes(Arc<IndexBytes>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// The bytes of a graph in an index.
pub(crate) struct GraphPart {
    bytes: SharedBytes,
    range: Range<usize>,
    residence: Arc<Residence>,
}

impl Region for GraphPart {
    fn bytes(&self) -> &[u8] {
        &self.bytes.as_ref()[self.range.clone()]
    }

    fn request(&self, range: Range<usize>) {
        if self.residence.waits() {
            let start = self.range.start;
            self.bytes.0.will_need(start + range.start..start + range.end);
        }
    }
}

/// The index of a segment's vectors in a dense field.
pub(crate) struct DenseIndex {
    pages: Pages<SharedBytes>,
    header: Header,
    /// The row of each place, in ascending order; `None` where every row has a vector.
    rows: Option<Box<[u32]>>,
    graph: Option<Graph<GraphPart>>,
    residence: Arc<Residence>,
    path: PathBuf,
}

impl DenseIndex {
    /// Opens the bytes of an index; `path` is for the words of errors. Reads the header, 4 bytes for
    /// each 16 KiB, the table of rows, and what a graph has before its records.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not what was written, `Version` for those of another release.
    pub(crate) fn open(bytes: IndexBytes, path: &Path) -> Result<Self> {
        let header = Header::read(path, bytes.as_ref())?;
        let bytes = SharedBytes(Arc::new(bytes));
        let pages = header::KIND.open_body(path, bytes.clone(), header.body)?;
        let Some(parts) = header.parts() else {
            return Err(pages.corrupt(0, "has parts that are not as long as they must be"));
        };
        let rows = match parts.rows.is_empty() {
            true => None,
            false => {
                let stored = pages.get(parts.rows.start, parts.rows.end - parts.rows.start)?;
                let rows: Box<[u32]> =
                    stored.as_chunks().0.iter().map(|row| u32::from_le_bytes(*row)).collect();
                let ascend = rows.windows(2).all(|pair| pair[0] < pair[1]);
                if !ascend || rows.last().is_some_and(|row| *row >= header.identity.rows) {
                    return Err(pages.corrupt(parts.rows.start, "has rows that cannot be"));
                }
                Some(rows)
            }
        };
        let residence = Arc::new(Residence::default());
        let graph = match header.is_graph {
            false => None,
            true => {
                // The pages were found to reach so far.
                let place = |offset: u64| INDEX_FILE_HEADER_BYTES + offset as usize;
                let range = place(parts.vectors.start)..place(parts.vectors.end);
                let start = range.start as u64;
                let part = GraphPart { bytes, range, residence: residence.clone() };
                let graph = Graph::open(part).map_err(|error| error_of(error, path, start))?;
                let DenseField { dimension, metric, element } = header.field;
                let is_its = graph.count() == header.count
                    && graph.dimension() == dimension
                    && graph.metric() == metric
                    && graph.element() == element
                    && graph.region_bytes() == header.vector_bytes;
                if !is_its {
                    return Err(pages.corrupt(parts.vectors.start, "has a graph of others"));
                }
                Some(graph)
            }
        };
        Ok(Self { pages, header, rows, graph, residence, path: path.to_owned() })
    }

    /// Whether it is of the vectors that this field has in this segment.
    pub(crate) fn is_of(&self, identity: Identity, name: &str, field: &DenseField) -> bool {
        let header = &self.header;
        header.identity == identity && header.name == name && header.field == *field
    }

    /// How many rows have a vector.
    pub(crate) fn count(&self) -> u32 {
        self.header.count
    }

    pub(crate) fn graph(&self) -> Option<&Graph<GraphPart>> {
        self.graph.as_ref()
    }

    /// The row of a place below `count()`.
    pub(crate) fn row(&self, place: u32) -> u32 {
        self.rows.as_ref().map_or(place, |rows| rows[place as usize])
    }

    /// Where the vector of a row is; `None` where it has none.
    pub(crate) fn place(&self, row: u32) -> Option<u32> {
        match &self.rows {
            None => (row < self.count()).then_some(row),
            Some(rows) => rows.binary_search(&row).ok().map(|place| place as u32),
        }
    }

    /// Scores the vectors at these places, which exist, one into each of `scores`.
    ///
    /// # Errors
    /// `Corrupt` where one is damaged.
    pub(crate) fn score(
        &self,
        query: &Query<'_>,
        places: Range<u32>,
        scores: &mut [f32],
    ) -> Result<()> {
        let DenseField { metric, element, .. } = self.header.field;
        if let Some(graph) = &self.graph {
            return graph.score_stored(query, places, scores).map_err(|error| self.error(error));
        }
        let norms = match metric {
            Metric::Cosine => self.inverse_norms(&places)?,
            Metric::Dot | Metric::L2 | Metric::Hamming => Cow::default(),
        };
        query.score_stored(element, self.stored(&places)?, &norms, scores);
        Ok(())
    }

    /// Fills `out`, which is as long as the dimension, with the vector at a place of an index
    /// without a graph.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged.
    fn copy(&self, place: u32, out: &mut [f32]) -> Result<()> {
        let stored = self.stored(&(place..place + 1))?;
        Backend::active().decode_row(self.header.field.element, stored, out);
        Ok(())
    }

    fn stored(&self, places: &Range<u32>) -> Result<&[u8]> {
        let row_bytes = self.header.field.row_bytes() as u64;
        let start = header::VECTORS_START + u64::from(places.start) * row_bytes;
        self.pages.get(start, places.len() as u64 * row_bytes)
    }

    fn inverse_norms(&self, places: &Range<u32>) -> Result<Cow<'_, [f32]>> {
        let norms = header::VECTORS_START + self.header.vector_bytes;
        let start = norms + u64::from(places.start) * 4;
        Ok(floats_of(self.pages.get(start, places.len() as u64 * 4)?))
    }

    fn error(&self, error: crate::graph::GraphError) -> Error {
        let start = INDEX_FILE_HEADER_BYTES as u64 + header::VECTORS_START;
        error_of(error, &self.path, start)
    }

    /// Says whether a walk in the graph, of this search or of another one, met damage.
    ///
    /// # Errors
    /// `Corrupt`, with where it is.
    pub(crate) fn check_walks(&self) -> Result<()> {
        self.graph
            .as_ref()
            .map_or(Ok(()), |graph| graph.check_met().map_err(|error| self.error(error)))
    }

    /// How many nodes a walk in the graph shall request before it visits the first of them.
    pub(crate) fn nodes_ahead(&self) -> usize {
        self.residence.ahead()
    }

    /// Learns from the time that a walk took whether nodes are in memory or must be asked for.
    pub(crate) fn learn_from_walk(&self, elapsed: Duration, visits: usize) {
        if let Some(graph) = &self.graph {
            self.residence.learn(elapsed, visits, graph.record_bytes());
        }
    }

    /// Compares every byte with its checksum.
    ///
    /// # Errors
    /// `Corrupt` names the first damage.
    pub(crate) fn verify(&self) -> Result<()> {
        self.pages.check_all()
    }

    /// What it takes of memory, mapped pages apart.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let table = self.header.body.bytes.div_ceil(CHECKED_PAGE_BYTES as u64) * 4;
        let rows = self.rows.as_ref().map_or(0, |rows| rows.len() as u64 * 4);
        table + rows + self.pages.bytes().0.memory_bytes()
    }
}
