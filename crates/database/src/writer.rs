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

    /// Writes the middle of the payload of the next frame, which is to have so many bytes of payload in
    /// front of it, before the others are known: nobody takes it for anything without them. Returns
    /// where it starts. After an error the file may hold a part of it.
    pub(crate) fn write_middle(&self, middle: &[u8], in_front: usize) -> io::Result<u64> {
        let start = self.end + (FRAME_HEADER_BYTES + in_front) as u64;
        self.log.file.write_all_at(middle, start)?;
        Ok(start)
    }

    /// Writes a frame at the log's end, whose middle, if it has any, is there already; returns where its
    /// payload starts. After an error the file may hold a part of the frame.
    pub(crate) fn append(&mut self, frame: &mut PreparedFrame, synced: u64) -> io::Result<u64> {
        let next = self.end + frame.bytes();
        let (front, rest) = frame.finish(self.log.salt, self.end, self.next_sequence, synced);
        if !rest.is_empty() {
            self.log.file.write_all_at(rest, next - rest.len() as u64)?;
        }
        self.log.file.write_all_at(front, self.end)?;
        let payload_offset = self.end + FRAME_HEADER_BYTES as u64;
        self.end = next;
        self.next_sequence += 1;
        Ok(payload_offset)
    }
}
