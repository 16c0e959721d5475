//! Bytes that are read here and there: of a size from which on the system's small pages cost a search
//! for each.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// From so many bytes on, a few pages of two megabytes take the place of thousands of small ones, of
/// which a processor remembers some.
const LARGE: usize = 4 << 20;

/// Bytes that are zero at first.
pub(super) enum ScatteredBytes {
    Small(Vec<u8>),
    Large(MmapMut),
}

impl ScatteredBytes {
    pub(super) fn zeroed(length: usize) -> Self {
        if length < LARGE {
            return Self::Small(vec![0; length]);
        }
        match MmapMut::map_anon(length) {
            Ok(mapped) => {
                // Where the system has none left, or none at all, small ones do as well.
                #[cfg(target_os = "linux")]
                let _ = mapped.advise(memmap2::Advice::HugePage);
                Self::Large(mapped)
            }
            Err(_) => Self::Small(vec![0; length]),
        }
    }
}

impl Deref for ScatteredBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

impl DerefMut for ScatteredBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}
