//! Files in the address space. The crate's only unsafe code.
//!
//! A mapping is sound as long as nobody writes to or shortens the file below it. Ours are written
//! under another name, get their name when they are complete, and are never opened for writing
//! again; removing one leaves the mapping intact. A process that damages the database's files
//! while we read them can make a page fault fail, which ends ours with SIGBUS: that is the price
//! of reading without a copy, and `docs/file-format.md` says so.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::Mmap;

/// A file as bytes, read from the medium where they are touched.
pub(crate) struct Mapping {
    bytes: Mmap,
}

impl Mapping {
    /// Maps a file that is complete and will not be changed any more.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the file was published by a rename once it was complete, and no code of this
        // crate opens a published file for writing (see the module's documentation), so the bytes
        // behind the mapping do not change and do not go away while it lives.
        let bytes = unsafe { Mmap::map(file)? };
        Ok(Self { bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Says that the bytes will be touched in no order, so that reading around them is a waste.
    pub(crate) fn advise_random(&self, range: Range<usize>) {
        #[cfg(unix)]
        self.advise(memmap2::Advice::Random, range);
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Starts to read the bytes in the background, so that touching them later does not wait.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        self.advise(memmap2::Advice::WillNeed, range);
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Reads the bytes now, so that touching them later neither waits nor asks the system for each
    /// page. Returns once they are there.
    pub(crate) fn read_in(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        self.advise(memmap2::Advice::PopulateRead, range);
        #[cfg(not(target_os = "linux"))]
        self.will_need(range);
    }

    /// Takes the pages out of this process's memory; they are read again where they are touched.
    /// Whole pages around the range's ends go too.
    pub(crate) fn dont_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            let range = self.clip(range);
            // SAFETY: this advice may not be given for memory whose content would be lost. The
            // mapping is read-only and backed by a file that does not change, so a page that was
            // dropped comes back with the very same bytes, whoever holds a slice of it.
            // A system that does not take the advice keeps the pages: nothing depends on it.
            let _ = unsafe {
                self.bytes.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// A system that does not take an advice is as right as before: nothing depends on it.
    #[cfg(unix)]
    fn advise(&self, advice: memmap2::Advice, range: Range<usize>) {
        let range = self.clip(range);
        let _ = self.bytes.advise_range(advice, range.start, range.len());
    }

    #[cfg(unix)]
    fn clip(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.bytes.len());
        range.start.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn advice_changes_no_byte_whatever_the_range() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..10_000).map(|byte| byte as u8).collect();
        file.write_all(&content).unwrap();
        let mapping = Mapping::new(&file).unwrap();
        for range in [0..10_000, 4095..4097, 9_999..20_000, 30_000..40_000, 5..5] {
            mapping.advise_random(range.clone());
            mapping.will_need(range.clone());
            mapping.read_in(range.clone());
            mapping.dont_need(range);
            assert_eq!(mapping.bytes(), content);
        }
    }
}
