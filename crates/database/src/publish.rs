//! Making the present segments what the collection consists of on disk.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::derived_files::derived_files;
use crate::error::Result;
use crate::generations::log_path;
use crate::manifest::Manifest;
use crate::segment::segment_path;
use crate::store::Store;

/// What there is to do once the next manifest is on the medium.
#[derive(Default)]
pub(crate) struct Published {
    /// Files that only manifests before the next one need.
    outdated: Vec<PathBuf>,
    /// Segments of these numbers, from which other files follow, are among them.
    outdated_segments: Vec<u64>,
}

impl Store {
    /// The log of a head that became a segment, or segments that became another one, can go once
    /// the next manifest is on the medium.
    pub(crate) fn outdate_log(&self, generation: u64) {
        self.published.lock().outdated.push(log_path(self.folder(), generation));
    }

    /// As [`Store::outdate_log`].
    pub(crate) fn outdate_segment(&self, number: u64) {
        let mut published = self.published.lock();
        published.outdated.push(segment_path(self.folder(), number));
        published.outdated_segments.push(number);
    }

    /// Writes a manifest of the present state and removes the files that it no longer needs.
    ///
    /// # Errors
    /// `Io` or `Poisoned`: then the manifest before counts, and its files are still there.
    pub(crate) fn publish(&self) -> Result<()> {
        let mut published = self.published.lock();
        let next_segment = self.next_segment.load(Ordering::Relaxed);
        let manifest = Manifest::of(&*self.state()?, self.schema(), self.index(), next_segment);
        // What the manifest says of deleted rows must not outlive the frames that say it too: else
        // a power failure would keep half of a transaction.
        self.commit().sync_all()?;
        manifest.write(self.disk(), self.folder())?;
        let mut outdated = std::mem::take(&mut published.outdated);
        let segments = std::mem::take(&mut published.outdated_segments);
        if !segments.is_empty() {
            let indexes = derived_files(self.folder()).unwrap_or_default().into_iter();
            let of_them = indexes.filter(|(number, _)| segments.contains(number));
            outdated.extend(of_them.map(|(_, path)| path));
        }
        for path in outdated {
            // Where this fails, the next opening removes the file.
            let _ = self.disk().remove_file(&path);
        }
        Ok(())
    }
}
