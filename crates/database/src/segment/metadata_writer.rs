//! The metadata index of a segment that has something to index.

use super::{SegmentRecord, SegmentSource};
use crate::error::Result;
use crate::filter::Fields;
use crate::metadata_index::MetadataIndexBuilder;

/// Indexes the rows once one of them has metadata or a place: a segment of bare ids needs no
/// index, which would take more room than the ids.
#[derive(Default)]
pub(super) struct MetadataWriter {
    builder: Option<MetadataIndexBuilder>,
}

impl MetadataWriter {
    /// Takes the next row.
    pub(super) fn push(
        &mut self,
        row: u32,
        record: &SegmentRecord,
        source: &dyn SegmentSource,
    ) -> Result<()> {
        let builder = match &mut self.builder {
            Some(builder) => builder,
            None if record.metadata.is_none() && record.place.is_none() => return Ok(()),
            None => {
                let mut builder = MetadataIndexBuilder::default();
                for earlier in 0..row {
                    builder.push(&Fields::from(&source.record(earlier)?))?;
                }
                self.builder.insert(builder)
            }
        };
        builder.push(&Fields::from(record))
    }

    /// The bytes of the index, where there is one.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        self.builder.map(MetadataIndexBuilder::finish)
    }
}

impl<'a> From<&'a SegmentRecord> for Fields<'a> {
    fn from(record: &'a SegmentRecord) -> Self {
        Self {
            id: &record.id,
            metadata: record.metadata.as_deref(),
            source: record.place.as_ref().map(|place| &*place.source),
            line: record.place.as_ref().map(|place| place.line),
        }
    }
}
