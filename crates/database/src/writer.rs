//! The end of a log, where frames are appended.

use std::io;
use std::sync::Arc;

use crate::format::FRAME_HEADER_BYTES;
use crate::frame::PreparedFrame;
use crate::log::LogFile;

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// The sequence number that it gets.
    pub(crate) next_sequence: u64,
    /// Whether the last frame is a seal, or there is no frame at all.
    pub(crate) sealed: bool,
}

impl LogEnd {
    /// Of a log of which no frame was read.
    pub(crate) fn of_empty(log: &LogFile) -> Self {
        Self { offset: log.first_frame, next_sequence: 1, sealed: true }
    }
}

/// The end of the log, where one thread at a time appends.
pub(crate) struct Writer {
    pub(crate) log: Arc<LogFile>,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// The sequence number that it gets.
    pub(crate) next_sequence: u64,
    /// Whether the last frame is a seal, or there is no frame at all.
    pub(crate) sealed: bool,
}

impl Writer {
    /// Starts a log that no reader knows yet.
    pub(crate) fn new(log: LogFile) -> Self {
        Self { end: log.first_frame, log: Arc::new(log), next_sequence: 1, sealed: true }
    }

    pub(crate) fn log_end(&self) -> LogEnd {
        let Self { end, next_sequence, sealed, .. } = *self;
        LogEnd { offset: end, next_sequence, sealed }
    }

    /// Whether the log holds anything but a seal.
    pub(crate) fn is_empty(&self) -> bool {
        self.next_sequence == 1 || (self.next_sequence == 2 && self.sealed)
    }

    /// Writes a frame at the log's end; returns where its payload starts. After an error the file
    /// may hold a part of the frame.
    pub(crate) fn append(&mut self, frame: &mut PreparedFrame, synced: u64) -> io::Result<u64> {
        let bytes = frame.finish(self.log.salt, self.end, self.next_sequence, synced);
        self.log.file.write_all_at(bytes, self.end)?;
        let payload_offset = self.end + FRAME_HEADER_BYTES as u64;
        self.end += bytes.len() as u64;
        self.next_sequence += 1;
        Ok(payload_offset)
    }
}
