//! How a collection's vectors are indexed.

use kernels::ElementType;

use crate::error::{Error, Result};
use crate::graph::BuildOptions;
use crate::schema::{Metric, Schema};
use crate::vector_fields::FieldKind;

/// How a collection's vectors are indexed. The defaults need no tuning; 0 stands for the graph's
/// own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IndexOptions {
    /// Segments of at least this many rows get a graph; those of half as many get codes until they are
    /// in one, and smaller ones are searched exactly. `u32::MAX` means never.
    pub minimum_rows: u32,
    /// Neighbours a node, a multiple of 32.
    pub degree: u32,
    /// Candidates that a node's neighbours are chosen from: more gives a better graph, slower.
    pub build_effort: u32,
    /// Candidates that a search keeps, where the search does not say.
    pub search_effort: u32,
}

/// Memory for each row of a merge without a graph: origins, ids and offsets.
const FLAT_BYTES_A_ROW: u64 = 32;

impl Default for IndexOptions {
    fn default() -> Self {
        Self { minimum_rows: 4096, degree: 0, build_effort: 0, search_effort: 0 }
    }
}

impl IndexOptions {
    /// No graph: every search is exact.
    pub fn exact() -> Self {
        Self { minimum_rows: u32::MAX, ..Self::default() }
    }

    /// Segments of at least this many rows are coded until they have a graph: half of what a graph takes,
    /// so that heads are small beside searches.
    pub(crate) fn least_coded_rows(&self) -> u32 {
        match self.minimum_rows {
            u32::MAX => u32::MAX,
            rows => rows.div_ceil(2),
        }
    }

    /// What a new collection begins with.
    pub(crate) fn of(schema: &Schema) -> Self {
        match schema.metric {
            Metric::Hamming => Self::exact(),
            Metric::Cosine | Metric::Dot | Metric::L2 => Self::default(),
        }
    }

    /// How a graph of this collection's vectors is built.
    pub(crate) fn build_options(&self, schema: &Schema) -> BuildOptions {
        let mut options = BuildOptions::new(schema.dimension, schema.metric);
        options.element = schema.element;
        if schema.element == ElementType::Int8 && schema.dimension >= 256 {
            // Codes of fewer bits: else they would take several times what the vectors do.
            options.code_bits = (options.code_bits * 2 / 3).next_multiple_of(64);
        }
        if self.degree > 0 {
            options.degree = self.degree as usize;
        }
        if self.build_effort > 0 {
            options.effort = self.build_effort as usize;
        }
        options
    }

    /// Bytes of memory for each row of a segment that is merged.
    pub(crate) fn memory_bytes_a_row(&self, schema: &Schema) -> u64 {
        match schema.metric {
            Metric::Hamming => FLAT_BYTES_A_ROW,
            Metric::Cosine | Metric::Dot | Metric::L2 => {
                self.build_options(schema).memory_bytes_a_row()
            }
        }
    }

    /// As [`IndexOptions::memory_bytes_a_row`], where fields are indexed, too: one after the other.
    pub(crate) fn memory_bytes_a_row_of_all(&self, schema: &Schema) -> u64 {
        let of_fields = schema.fields.iter().filter_map(|field| match field.kind {
            FieldKind::Dense(dense) => Some(self.memory_bytes_a_row(&dense.schema())),
            FieldKind::Sparse => None,
        });
        of_fields.fold(self.memory_bytes_a_row(schema), u64::max)
    }

    /// Whether a collection can be indexed so.
    ///
    /// # Errors
    /// `InvalidArgument` for what is out of range, or a graph of packed bits.
    pub(crate) fn validate_for(&self, schema: &Schema) -> Result<()> {
        self.validate()?;
        match schema.metric {
            Metric::Hamming if self.minimum_rows != u32::MAX => Err(Error::InvalidArgument(
                "Hamming distances are counted over all records, which no index makes faster: leave \
                 it out"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `InvalidArgument` for what is out of range.
    pub fn validate(&self) -> Result<()> {
        let limits = [
            ("minimum_rows", self.minimum_rows, 1, u32::MAX),
            ("degree", self.degree, 0, 256),
            ("build_effort", self.build_effort, 0, 4096),
            ("search_effort", self.search_effort, 0, 65_536),
        ];
        for (name, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(Error::InvalidArgument(format!(
                    "{name} is {least} to {most}, not {value}"
                )));
            }
        }
        match self.degree % 32 {
            0 => Ok(()),
            _ => Err(Error::InvalidArgument(format!(
                "degree is a multiple of 32, not {}",
                self.degree
            ))),
        }
    }
}
