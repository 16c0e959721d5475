//! A database that is read while another process may write to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use crate::database_snapshot::DatabaseSnapshot;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::folder::{collection_names, read_format_file};
use crate::follower::Follower;
use crate::format::{COLLECTIONS_FOLDER, FORMAT_FILE};
use crate::process::Owner;
use crate::view::Access;

/// A database that is only read. Takes no lock and writes nothing.
pub(crate) struct Reader {
    path: PathBuf,
    /// Those in use; `None` once closed.
    followers: Mutex<Option<Followers>>,
    owner: Owner,
}

type Followers = BTreeMap<String, Arc<Follower>>;

impl Reader {
    /// # Errors
    /// `NotADatabase`, `Version`, `Corrupt`, `Io`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(Error::io(path, "find"))?;
        if read_format_file(&path.join(FORMAT_FILE))?.is_none() {
            return Err(Error::NotADatabase { path, reason: "there is no file FORMAT" });
        }
        let followers = Mutex::new(Some(Followers::new()));
        Ok(Self { path, followers, owner: Owner::this_process() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn followers(&self) -> Result<MappedMutexGuard<'_, Followers>> {
        self.owner.check()?;
        MutexGuard::try_map(self.followers.lock(), Option::as_mut).map_err(|_| Error::Closed)
    }

    /// The names of the collections that are there now, sorted.
    pub(crate) fn collections(&self) -> Result<Vec<String>> {
        drop(self.followers()?);
        let folder = self.path.join(COLLECTIONS_FOLDER);
        // The writer may be about to create it.
        if folder.exists() { collection_names(&folder) } else { Ok(Vec::new()) }
    }

    pub(crate) fn follower(&self, name: &str) -> Result<Arc<Follower>> {
        let mut followers = self.followers()?;
        if let Some(follower) = followers.get(name) {
            match follower.refresh() {
                Ok(()) => return Ok(follower.clone()),
                // Dropped; there may be another one by now.
                Err(Error::NotFound { .. }) => drop(followers.remove(name)),
                Err(error) => return Err(error),
            }
        }
        let follower =
            Arc::new(Follower::open(name, self.path.join(COLLECTIONS_FOLDER).join(name))?);
        followers.insert(name.to_owned(), follower.clone());
        Ok(follower)
    }

    /// Each collection at one moment, one after the other.
    pub(crate) fn snapshot(&self) -> Result<DatabaseSnapshot> {
        let mut collections = BTreeMap::new();
        for name in self.collections()? {
            match self.follower(&name).and_then(|follower| follower.freeze()) {
                Ok(frozen) => drop(collections.insert(name, frozen)),
                // Dropped since they were listed.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(DatabaseSnapshot::new(&self.path, &Disk::default(), collections))
    }

    pub(crate) fn close(&self) {
        if self.owner.is_this_process()
            && let Some(followers) = self.followers.lock().take()
        {
            followers.values().for_each(|follower| follower.view().end(Access::Closed));
        }
    }
}
