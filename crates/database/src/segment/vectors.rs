//! The vectors of a segment: row after row, or in the nodes of a graph.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kernels::Backend;

use super::Segment;
use super::blocks::Blocks;
use super::graph_writer::error_of;
use super::header::Header;
use super::region::{GraphBytes, SectionBytes};
use super::residence::Residence;
use crate::bytes::floats_of;
use crate::error::{Error, Result};
use crate::format::{SECTION_GRAPH, SECTION_INVERSE_NORMS, SECTION_VECTORS};
use crate::graph::Graph;
use crate::graph::layout::PAGE_BYTES;
use crate::mapping::Mapping;
use crate::schema::Metric;
use crate::score::Query;

/// Where the vectors are.
pub(super) enum Vectors {
    Flat {
        values: Range<u64>,
        /// Empty for the metrics that need none.
        inverse_norms: Range<u64>,
    },
    Graph {
        section: Range<u64>,
        /// Not to be searched once the section is damaged.
        graph: Box<Graph<GraphBytes>>,
        residence: Arc<Residence>,
    },
}

/// A section that cannot be used, and where and why.
pub(super) type Unusable = (Range<u64>, u64, String);

impl Vectors {
    /// The second value is a graph that cannot be searched.
    ///
    /// # Errors
    /// `Corrupt` where not even the vectors can be found, `Version` for a graph of a newer release.
    pub(super) fn open(
        blocks: &Blocks,
        mapping: &Arc<Mapping>,
        header: &Header,
    ) -> Result<(Self, Option<Unusable>)> {
        let Some(section) = header.section(SECTION_GRAPH) else {
            let values = header.section(SECTION_VECTORS).unwrap_or_default();
            let inverse_norms = header.section(SECTION_INVERSE_NORMS).unwrap_or_default();
            mapping.advise_random(inverse_norms.end as usize..mapping.bytes().len());
            return Ok((Self::Flat { values, inverse_norms }, None));
        };
        mapping.advise_random(0..mapping.bytes().len());
        let residence = Arc::new(Residence::default());
        let bytes = || GraphBytes::new(SectionBytes::new(mapping, &section), residence.clone());
        let opened = Graph::open(bytes())
            .map_err(|error| error_of(error, blocks.path(), section.start))
            .and_then(|graph| {
                let is_its = graph.count() == header.rows
                    && graph.dimension() == header.dimension
                    && graph.metric() == header.metric
                    && graph.element() == header.element
                    && graph.region_bytes() <= section.end - section.start;
                let reason = "the segment's graph was made for other rows";
                is_its.then_some(graph).ok_or_else(|| blocks.corrupt(section.start, reason))
            });
        let error = match opened {
            Ok(graph) => {
                return Ok((Self::Graph { section, graph: graph.into(), residence }, None));
            }
            Err(error) => error,
        };
        let first_page = section.start..(section.start + PAGE_BYTES as u64).min(section.end);
        if let Error::Version { .. } = error
            && blocks.read(first_page).is_ok()
        {
            return Err(error);
        }
        let Header { metric, element, rows, dimension, .. } = *header;
        let Some(graph) = Graph::salvage(bytes(), metric, element, rows, dimension) else {
            return Err(error);
        };
        let (offset, what) = match error {
            Error::Corrupt { offset, reason, .. } => (offset, reason),
            other => (section.start, other.to_string()),
        };
        let problem = (section.clone(), offset, what);
        Ok((Self::Graph { section, graph: graph.into(), residence }, Some(problem)))
    }
}

impl Segment {
    /// Whether the vectors are in a graph.
    pub fn is_indexed(&self) -> bool {
        self.graph().is_some()
    }

    /// The graph that the vectors are in, if they are in one that is not known to be damaged: its
    /// rows are the segment's.
    pub fn graph(&self) -> Option<&Graph<GraphBytes>> {
        match &self.vectors {
            Vectors::Graph { graph, section, .. } if self.is_usable(section) => Some(graph),
            Vectors::Flat { .. } | Vectors::Graph { .. } => None,
        }
    }

    /// Says whether a walk in the graph, of this search or of another one, met damage.
    ///
    /// # Errors
    /// `Corrupt`, with where it is.
    pub(crate) fn check_walks(&self) -> Result<()> {
        match &self.vectors {
            Vectors::Flat { .. } => Ok(()),
            Vectors::Graph { graph, section, .. } => {
                graph.check_met().map_err(|error| error_of(error, self.path(), section.start))
            }
        }
    }

    /// Whether walks in the graph shall ask the operating system for the nodes that they are about
    /// to visit: right where the file is larger than memory. Walks find out by themselves, see
    /// [`Segment::learn_from_walk`].
    pub fn request_nodes(&self, wanted: bool) {
        if let Vectors::Graph { residence, .. } = &self.vectors {
            residence.set(wanted);
        }
    }

    /// How many nodes a walk in the graph shall request before it visits the first of them.
    pub fn nodes_ahead(&self) -> usize {
        match &self.vectors {
            Vectors::Flat { .. } => 1,
            Vectors::Graph { residence, .. } => residence.ahead(),
        }
    }

    /// Learns from the time that a walk took whether nodes are in memory or must be asked for.
    pub fn learn_from_walk(&self, elapsed: Duration, visits: usize) {
        if let Vectors::Graph { residence, graph, .. } = &self.vectors {
            self.fine.note_walk(residence.learn(elapsed, visits, graph.record_bytes()));
        }
    }

    /// Fills `out`, which is as long as the dimension, with a row's vector.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged; `InvalidArgument` where there is no such row.
    ///
    /// # Panics
    /// `out` has another length.
    pub fn vector(&self, row: u32, out: &mut [f32]) -> Result<()> {
        self.check_row(row)?;
        match &self.vectors {
            Vectors::Flat { values, .. } => {
                let stored = self.stored_rows(values, row..row + 1)?;
                Backend::active().decode_row(self.header.element, stored, out);
            }
            Vectors::Graph { graph, section, .. } => {
                if !graph.is_trusted(row) {
                    let verified = graph.verify(row);
                    verified.map_err(|error| error_of(error, self.path(), section.start))?;
                }
                graph.vector(row, out);
            }
        }
        Ok(())
    }

    /// Scores consecutive rows, one into each of `scores`, without copying them. Larger is better;
    /// no score is NaN. Rows that are lost get the lowest.
    ///
    /// # Errors
    /// `Corrupt` where a vector is damaged; `InvalidArgument` where there are no such rows.
    ///
    /// # Panics
    /// There are more rows than scores, or fewer.
    pub fn score_rows(
        &self,
        query: &Query<'_>,
        rows: Range<u32>,
        scores: &mut [f32],
    ) -> Result<()> {
        assert_eq!(rows.len(), scores.len(), "one score a row");
        if let Some(last) = rows.clone().last() {
            self.check_row(last)?;
        }
        if let Some(damage) = self.damage.get().filter(|damage| !damage.lost.is_empty())
            && damage.lost.range_cardinality(rows.clone()) > 0
        {
            for (row, score) in rows.zip(scores) {
                *score = f32::NEG_INFINITY;
                if !damage.lost.contains(row) {
                    self.score_sound(query, row..row + 1, std::slice::from_mut(score))?;
                }
            }
            return Ok(());
        }
        self.score_sound(query, rows, scores)
    }

    /// As [`Segment::score_rows`] for rows that exist, none of which is lost.
    fn score_sound(&self, query: &Query<'_>, rows: Range<u32>, scores: &mut [f32]) -> Result<()> {
        match &self.vectors {
            Vectors::Flat { values, inverse_norms } => {
                let inverse_norms = match self.header.metric {
                    Metric::Cosine => self.inverse_norms(inverse_norms, rows.clone())?,
                    Metric::Dot | Metric::L2 | Metric::Hamming => Cow::default(),
                };
                let stored = self.stored_rows(values, rows)?;
                query.score_stored(self.header.element, stored, &inverse_norms, scores);
            }
            Vectors::Graph { graph, section, .. } => {
                let scored = graph.score_stored(query, rows, scores);
                scored.map_err(|error| error_of(error, self.path(), section.start))?;
            }
        }
        Ok(())
    }

    /// Hints that a row's vector will be read soon. A row that does not exist is passed over.
    pub(crate) fn expect_vector(&self, row: u32) {
        match &self.vectors {
            _ if row >= self.rows() => {}
            Vectors::Flat { values, .. } => {
                let row_bytes = self.row_bytes();
                self.blocks.expect(values.start + u64::from(row) * row_bytes, row_bytes);
            }
            Vectors::Graph { graph, .. } => graph.request_vector(row),
        }
    }

    /// Starts to read the vectors of rows that exist.
    pub(super) fn prefetch_vectors(&self, rows: Range<u32>) {
        self.blocks.mapping().will_need(self.bytes_of_vectors(rows));
    }

    /// Where the vectors of these rows are in the file, or the nodes that they are in.
    pub(super) fn bytes_of_vectors(&self, rows: Range<u32>) -> Range<usize> {
        let (start, row_bytes) = match &self.vectors {
            Vectors::Flat { values, .. } => (values.start, self.row_bytes()),
            Vectors::Graph { graph, section, .. } => {
                // The records end the region.
                let records = u64::from(graph.count()) * graph.record_bytes() as u64;
                let start = section.start + graph.region_bytes() - records;
                (start, graph.record_bytes() as u64)
            }
        };
        let place = |row: u32| (start + u64::from(row) * row_bytes) as usize;
        place(rows.start)..place(rows.end)
    }

    /// Bytes of a vector.
    fn row_bytes(&self) -> u64 {
        self.header.element.row_bytes(self.dimension()) as u64
    }

    /// The vectors of these rows, which exist, as they are stored.
    fn stored_rows(&self, values: &Range<u64>, rows: Range<u32>) -> Result<&[u8]> {
        let place = |row: u32| values.start + u64::from(row) * self.row_bytes();
        self.blocks.read(place(rows.start)..place(rows.end))
    }

    /// One over the length of each of these rows, which exist.
    fn inverse_norms(&self, section: &Range<u64>, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        if let Some(norms) = self.damage.get().and_then(|damage| damage.inverse_norms.clone()) {
            return Ok(Cow::Owned(norms[rows.start as usize..rows.end as usize].to_vec()));
        }
        let place = |row: u32| section.start + u64::from(row) * 4;
        Ok(floats_of(self.blocks.read(place(rows.start)..place(rows.end))?))
    }
}
