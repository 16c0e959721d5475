//! Walks the frames of a log, and searches for frames behind a damaged one.

use std::io::{BufReader, Read};

use crate::error::{Error, Result};
use crate::files::{Sequential, read_exact_at};
use crate::format::{FRAME_ALIGNMENT, FRAME_HEADER_BYTES};
use crate::frame::FrameHeader;
use crate::log::LogFile;

const BUFFER_BYTES: usize = 1 << 20;

/// A frame whose checksums match.
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    /// Where the payload starts in the file.
    pub(crate) payload_offset: u64,
    pub(crate) payload: &'a [u8],
}

/// Bytes that are no frame.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: &'static str,
    /// Where the next frame would start, if the header is right and only the payload is not.
    pub(crate) next_frame: Option<u64>,
}

/// Reads frame by frame. Memory grows with the bytes that are really in the file, never with
/// what a length field claims.
pub(crate) struct Frames<'a> {
    log: &'a LogFile,
    reader: BufReader<Sequential<'a>>,
    offset: u64,
    /// The file's length when the walk began; a writer may append meanwhile.
    end: u64,
    payload: Vec<u8>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(log: &'a LogFile) -> Result<Self> {
        Self::starting_at(log, log.first_frame)
    }

    /// From a frame's start on.
    pub(crate) fn starting_at(log: &'a LogFile, offset: u64) -> Result<Self> {
        let source = Sequential { file: log.file.as_file(), offset };
        Ok(Self {
            log,
            reader: BufReader::with_capacity(BUFFER_BYTES, source),
            offset,
            end: log.length()?,
            payload: Vec::new(),
        })
    }

    /// Where the next frame starts, or the file's end.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The next frame; `None` at the end of the file. After a fault the walk stays where it is.
    pub(crate) fn next(&mut self) -> Result<Option<std::result::Result<Frame<'_>, Fault>>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let offset = self.offset;
        let available = self.end - offset;
        let mut header = [0; FRAME_HEADER_BYTES];
        if available < header.len() as u64 {
            return fault("the file ends inside a frame header", None);
        }
        self.reader.read_exact(&mut header).map_err(Error::io(&self.log.path, "read"))?;
        let Some(header) = FrameHeader::decode(&header, self.log.salt, offset) else {
            return fault("this is not a frame header of this log", None);
        };
        let Some(frame_bytes) = header.frame_bytes().filter(|bytes| *bytes <= available) else {
            return fault("the file ends inside a frame", None);
        };

        self.payload.clear();
        let padded = frame_bytes - FRAME_HEADER_BYTES as u64;
        let read = (&mut self.reader)
            .take(padded)
            .read_to_end(&mut self.payload)
            .map_err(Error::io(&self.log.path, "read"))?;
        if (read as u64) < padded {
            return fault("the file ends inside a frame", None);
        }
        if crc32fast::hash(&self.payload) != header.payload_checksum {
            return fault("a frame's checksum does not match", Some(offset + frame_bytes));
        }
        self.offset = offset + frame_bytes;
        Ok(Some(Ok(Frame {
            header,
            payload_offset: offset + FRAME_HEADER_BYTES as u64,
            payload: &self.payload[..header.length as usize],
        })))
    }

    /// Goes on elsewhere, after a fault.
    pub(crate) fn resume_at(&mut self, offset: u64) {
        self.offset = offset;
        let source = Sequential { file: self.log.file.as_file(), offset };
        self.reader = BufReader::with_capacity(BUFFER_BYTES, source);
    }

    /// The first frame header from `start` on that `accept` takes, and where it stands. One pass
    /// over the bytes.
    pub(crate) fn find_header(
        &self,
        start: u64,
        accept: impl Fn(&FrameHeader) -> bool,
    ) -> Result<Option<(u64, FrameHeader)>> {
        let mut window = vec![0; BUFFER_BYTES + FRAME_HEADER_BYTES];
        let mut start = start.next_multiple_of(FRAME_ALIGNMENT as u64);
        while start + FRAME_HEADER_BYTES as u64 <= self.end {
            let length = (window.len() as u64).min(self.end - start) as usize;
            read_exact_at(self.log.file.as_file(), &mut window[..length], start)
                .map_err(Error::io(&self.log.path, "read"))?;
            let candidates = window[..length].windows(FRAME_HEADER_BYTES);
            for (position, bytes) in candidates.enumerate().step_by(FRAME_ALIGNMENT) {
                let offset = start + position as u64;
                let header = bytes
                    .first_chunk()
                    .and_then(|bytes| FrameHeader::decode(bytes, self.log.salt, offset))
                    .filter(|header| accept(header));
                if let Some(header) = header {
                    return Ok(Some((offset, header)));
                }
            }
            start += BUFFER_BYTES as u64;
        }
        Ok(None)
    }
}

fn fault<T>(
    reason: &'static str,
    next_frame: Option<u64>,
) -> Result<Option<std::result::Result<T, Fault>>> {
    Ok(Some(Err(Fault { reason, next_frame })))
}
