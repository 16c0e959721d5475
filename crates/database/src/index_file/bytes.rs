//! The bytes of an index file.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};
use crate::mapping::Mapping;

/// The bytes of an index: of its file, or in memory where there is none.
pub(crate) enum IndexBytes {
    Mapped(Mapping),
    Memory(Vec<u8>),
}

impl AsRef<[u8]> for IndexBytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => mapping.bytes(),
            Self::Memory(bytes) => bytes,
        }
    }
}

impl IndexBytes {
    /// Maps a file.
    ///
    /// # Errors
    /// `Io` where it cannot be opened.
    pub(crate) fn map(path: &Path) -> Result<Self> {
        let mapped = File::open(path).and_then(|file| Mapping::new(&file));
        mapped.map(Self::Mapped).map_err(Error::io(path, "open"))
    }

    /// Bytes of memory, mapped pages apart.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Mapped(_) => 0,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Starts to read bytes in the background, so that touching them later does not wait.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        if let Self::Mapped(mapping) = self {
            mapping.will_need(range);
        }
    }
}
