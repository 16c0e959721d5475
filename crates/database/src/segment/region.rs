//! Sections that are read by other modules, which check them by means of their own.

use std::ops::Range;
use std::sync::Arc;

use super::residence::Residence;
use crate::graph::Region;
use crate::mapping::Mapping;

/// The bytes of a section.
pub struct SectionBytes {
    mapping: Arc<Mapping>,
    range: Range<usize>,
}

impl SectionBytes {
    /// The caller knows from the header that the section lies inside of the file.
    pub(super) fn new(mapping: &Arc<Mapping>, section: &Range<u64>) -> Self {
        Self { mapping: mapping.clone(), range: section.start as usize..section.end as usize }
    }
}

impl AsRef<[u8]> for SectionBytes {
    fn as_ref(&self) -> &[u8] {
        &self.mapping.bytes()[self.range.clone()]
    }
}

/// The bytes of a graph.
pub struct GraphBytes {
    section: SectionBytes,
    residence: Arc<Residence>,
}

impl GraphBytes {
    pub(super) fn new(section: SectionBytes, residence: Arc<Residence>) -> Self {
        Self { section, residence }
    }
}

impl Region for GraphBytes {
    fn bytes(&self) -> &[u8] {
        self.section.as_ref()
    }

    fn request(&self, range: Range<usize>) {
        if self.residence.waits() {
            let start = self.section.range.start;
            self.section.mapping.will_need(start + range.start..start + range.end);
        }
    }
}
