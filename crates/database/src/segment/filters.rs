//! The rows of a segment that a filter accepts.

use roaring::RoaringBitmap;

use super::Segment;
use super::region::SectionBytes;
use crate::error::{Error, Result};
use crate::filter::{Fields, Filter};
use crate::format::SECTION_METADATA_INDEX;
use crate::metadata_index::{FieldSource, MetadataIndex};

impl Segment {
    /// Whether there is nothing to know of any row but its id: none has metadata or a place.
    pub(crate) fn has_only_ids(&self) -> bool {
        self.header.section(SECTION_METADATA_INDEX).is_none()
    }

    /// The index of what filters ask for. A segment none of whose rows has metadata or a place has
    /// none, and neither has one whose index is known to be damaged.
    ///
    /// # Errors
    /// `Corrupt` where it is damaged, `Version` where a newer release wrote it.
    pub fn metadata_index(&self) -> Result<Option<&MetadataIndex<SectionBytes>>> {
        let section = self.header.section(SECTION_METADATA_INDEX);
        let Some(section) = section.filter(|section| self.is_usable(section)) else {
            return Ok(None);
        };
        if let Some(index) = self.metadata_index.get() {
            return Ok(Some(index));
        }
        let bytes = SectionBytes::new(self.blocks.mapping(), &section);
        let index = match MetadataIndex::open(bytes, self.path(), section.start) {
            // Unless that is damage.
            Err(error @ Error::Version { .. }) => {
                self.blocks.read(section.start..(section.start + 1).min(section.end))?;
                return Err(error);
            }
            opened => opened?,
        };
        if index.rows() != self.rows() {
            let reason = "the metadata index was made for other rows";
            return Err(self.blocks.corrupt(section.start, reason));
        }
        Ok(Some(self.metadata_index.get_or_init(|| index)))
    }

    /// The rows that a filter accepts, of `among` or of all.
    ///
    /// # Errors
    /// `Corrupt` where something on the way is damaged.
    pub fn matching(
        &self,
        filter: &Filter,
        among: Option<&RoaringBitmap>,
    ) -> Result<RoaringBitmap> {
        if let Some(index) = self.metadata_index()? {
            return index.evaluate(filter, among, self);
        }
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.rows());
        let mut accepted = RoaringBitmap::new();
        for row in among.unwrap_or(&all) {
            self.with_fields(row, &mut |fields| {
                if filter.accepts(fields) {
                    accepted.insert(row);
                }
            })?;
        }
        Ok(accepted)
    }
}

impl FieldSource for Segment {
    fn with_fields(&self, row: u32, see: &mut dyn FnMut(&Fields<'_>)) -> Result<()> {
        // Nobody returns a row that is lost: whether it passes makes no difference.
        if !self.is_lost(row) {
            see(&Fields::from(&self.stored(row)?));
        }
        Ok(())
    }
}
