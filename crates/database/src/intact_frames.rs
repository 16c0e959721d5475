//! The frames of a log that are whole, whatever stands between them.
//!
//! Behind a damaged frame the next one is found by its header, whose checksum is about its place in
//! this log too: nothing else is ever taken for a frame.

use crate::error::Result;
use crate::frames::{Fault, Frame, Frames};
use crate::log::LogFile;

/// What stands in a log.
pub(crate) enum Found<'a> {
    Frame {
        offset: u64,
        frame: Frame<'a>,
        /// Frames that should stand before this one.
        missing: u64,
    },
    Gap(Gap),
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) reason: &'static str,
    /// How many frames were there, where the next one tells.
    pub(crate) frames: Option<u64>,
    /// Whether it is the unfinished write at the end of a log, which nobody was told was done.
    pub(crate) is_unfinished: bool,
}

/// Hands all that stands in a log to `each`, from front to back.
///
/// # Errors
/// `Io`, and what `each` says.
pub(crate) fn walk_intact(
    log: &LogFile,
    each: &mut dyn FnMut(Found<'_>) -> Result<()>,
) -> Result<()> {
    let mut frames = Frames::new(log)?;
    let mut next_sequence = 1;
    // A frame that was found behind a bad one knew the log up to here to be on the medium.
    let mut synced = 0;
    loop {
        let offset = frames.offset();
        let fault = match frames.next()? {
            None => return Ok(()),
            Some(Ok(frame)) => {
                let sequence = frame.header.sequence;
                let missing = sequence.saturating_sub(next_sequence);
                next_sequence = sequence.saturating_add(1);
                each(Found::Frame { offset, frame, missing })?;
                continue;
            }
            Some(Err(fault)) => fault,
        };
        let gap = gap(&frames, fault, &mut next_sequence, &mut synced)?;
        frames.resume_at(gap.end);
        each(Found::Gap(gap))?;
        if gap.is_unfinished {
            return Ok(());
        }
    }
}

/// Finds the frame to go on with behind a bad one. The rest is an unfinished write unless a later
/// frame knew the bad one's bytes to be on the medium.
fn gap(
    frames: &Frames<'_>,
    fault: Fault,
    next_sequence: &mut u64,
    synced: &mut u64,
) -> Result<Gap> {
    let (start, reason, next) = (frames.offset(), fault.reason, *next_sequence);
    let to_the_end = Gap { start, end: frames.end(), reason, frames: None, is_unfinished: false };
    if start >= *synced {
        let later =
            frames.find_header(start, |header| header.sequence >= next && header.synced > start)?;
        let Some((_, header)) = later else {
            return Ok(Gap { is_unfinished: true, ..to_the_end });
        };
        *synced = header.synced;
    }
    if let Some(end) = fault.next_frame {
        *next_sequence += 1;
        return Ok(Gap { end, frames: Some(1), ..to_the_end });
    }
    match frames.find_header(start, |header| header.sequence >= next)? {
        Some((end, header)) => {
            *next_sequence = header.sequence;
            Ok(Gap { end, frames: Some(header.sequence - next), ..to_the_end })
        }
        None => Ok(to_the_end),
    }
}
