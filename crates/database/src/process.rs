//! The process that opened a database.

use crate::error::{Error, Result};

/// Which process opened something. A fork copies its memory and none of its threads: in the child a
/// lock may be held for ever by a thread that is not there, and both would write to the same log.
/// So whatever a child inherited refuses to work, before it touches a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    process: u32,
}

impl Owner {
    pub(crate) fn this_process() -> Self {
        Self { process: std::process::id() }
    }

    /// Costs one system call that does nothing.
    pub(crate) fn is_this_process(self) -> bool {
        self.process == std::process::id()
    }

    /// # Errors
    /// `Forked` in any other process.
    pub(crate) fn check(self) -> Result<()> {
        match self.is_this_process() {
            true => Ok(()),
            false => Err(Error::Forked { opener: self.process }),
        }
    }
}
