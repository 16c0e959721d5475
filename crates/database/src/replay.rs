//! From a log to a collection in memory, and what to make of a log that ends badly.

use crate::error::{Error, Result};
use crate::format::FRAME_TRANSACTION;
use crate::frames::{Fault, Frames};
use crate::log::LogFile;
use crate::schema::Schema;
use crate::state::State;
use crate::transaction::{self, Changes};
use crate::writer::LogEnd;

/// What a log adds up to.
pub(crate) struct Replayed {
    pub(crate) state: State,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// The sequence number that it gets.
    pub(crate) next_sequence: u64,
    /// Whether the last frame is a seal, or there is no frame at all.
    pub(crate) sealed: bool,
    /// Bytes of an unfinished write that were cut off at `end`.
    pub(crate) bytes_cut: u64,
}

/// Applies every frame of the log to the state, whose active head is this log's, and cuts off a
/// torn tail.
///
/// The first bad frame, at X, is either the torn end of writes that nobody was told are on the
/// medium, or damage to writes that were. It is damage if any frame behind it was written
/// knowing that the log up to beyond X was on the medium. Where another log continues this one, any
/// end but a seal is damage: the next one was begun after that had been flushed.
///
/// # Errors
/// `Corrupt` for damage; then nothing is cut.
pub(crate) fn replay(
    log: &LogFile,
    schema: &Schema,
    mut state: State,
    is_continued: bool,
) -> Result<Replayed> {
    let mut log_end = LogEnd::of_empty(log);
    let (frames, fault) = read_transactions(log, schema, &mut log_end, &mut |changes, offset| {
        let replaced = state.replaced_by(&changes)?;
        state.apply(changes, replaced, offset);
        Ok(())
    })?;
    let LogEnd { offset: end, next_sequence, sealed } = log_end;
    if let Some(fault) = fault {
        refuse_damage(log, &frames, next_sequence, &fault)?;
    }
    let bytes_cut = frames.end() - end;
    if is_continued && (!sealed || bytes_cut > 0) {
        return Err(log.corrupt(end, "the log ends without a seal, but was continued"));
    }
    if bytes_cut > 0 {
        log.file.set_length(end).map_err(Error::io(&log.path, "cut the torn tail off"))?;
    }
    // From here on new frames say that everything before them is on the medium: make it so.
    log.flush()?;
    Ok(Replayed { state, end, next_sequence, sealed, bytes_cut })
}

/// Hands each transaction from `end` on, and where its payload starts, to `apply`, and moves `end`
/// behind it. Returns what is wrong with the first frame that is not whole, if there is one.
///
/// # Errors
/// `Corrupt` for frames that are whole and make no sense, `Io`, and what `apply` says.
pub(crate) fn read_transactions<'a>(
    log: &'a LogFile,
    schema: &Schema,
    end: &mut LogEnd,
    apply: &mut dyn FnMut(Changes, u64) -> Result<()>,
) -> Result<(Frames<'a>, Option<Fault>)> {
    let mut frames = Frames::starting_at(log, end.offset)?;
    loop {
        let offset = frames.offset();
        let frame = match frames.next()? {
            None => return Ok((frames, None)),
            Some(Err(fault)) => return Ok((frames, Some(fault))),
            Some(Ok(frame)) => frame,
        };
        if frame.header.sequence != end.next_sequence {
            return Err(log.corrupt(offset, "a frame is missing or out of order"));
        }
        end.sealed = frame.header.kind != FRAME_TRANSACTION;
        if !end.sealed {
            let changes = transaction::decode(frame.payload, schema)
                .ok_or_else(|| log.corrupt(offset, "a frame's content is impossible"))?;
            apply(changes, frame.payload_offset)?;
        }
        end.next_sequence += 1;
        end.offset = frames.offset();
    }
}

/// Says whether bytes that are no frame are damage.
///
/// # Errors
/// `Corrupt` if they are.
pub(crate) fn refuse_damage(
    log: &LogFile,
    frames: &Frames<'_>,
    next_sequence: u64,
    fault: &Fault,
) -> Result<()> {
    let bad = frames.offset();
    let evidence = frames
        .find_header(bad, |header| header.sequence >= next_sequence && header.synced > bad)?;
    match evidence {
        None => Ok(()),
        Some((later, _)) => Err(log.corrupt(
            bad,
            format!(
                "{} (and the frame at byte {later} shows that it once reached the medium)",
                fault.reason
            ),
        )),
    }
}
