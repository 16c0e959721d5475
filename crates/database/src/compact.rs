//! Rewriting a log without what was deleted or replaced.

use std::fs;

use crate::error::{Error, Result};
use crate::files::sync_directory;
use crate::frame::PreparedFrame;
use crate::generations::log_path;
use crate::log::LogFile;
use crate::record::{Batch, Document, Transaction};
use crate::records::{Records, StoredRecord};
use crate::state::Snapshot;
use crate::store::Store;
use crate::transaction;
use crate::writer::Writer;

/// A frame of the new log is closed once it holds this much, which bounds the memory needed.
const FRAME_BYTES: usize = 4 << 20;

impl Store {
    /// Rewrites the log into the next generation and goes on with it. Readers are not disturbed;
    /// writers wait. Needs as much space as the live records take until the old log is gone.
    ///
    /// # Errors
    /// After any error the old log is in use as before, except where the outcome cannot be known:
    /// then the collection refuses further writes.
    pub(crate) fn compact(&self, writer: &mut Writer) -> Result<()> {
        let log = LogFile::create(
            log_path(self.folder(), writer.log.generation + 1),
            writer.log.generation + 1,
            self.schema(),
        )?;
        let mut output = Rewrite { writer: Writer::new(log), records: Records::default() };
        let written = self.rewrite(&mut output).and_then(|()| output.writer.log.publish());
        if let Err(error) = written {
            output.writer.log.discard();
            return Err(error);
        }
        if let Err(error) = sync_directory(self.folder()) {
            // After a power failure either log could be the one that is found.
            self.commit().poison(format!("a compaction could not be completed: {error}"));
            return Err(error);
        }
        let old = writer.log.path.clone();
        self.replace_log(writer, output.writer, output.records);
        // Where this fails, the next opening removes the file.
        let _ = fs::remove_file(old);
        Ok(())
    }

    /// Writes and flushes the live records and documents.
    fn rewrite(&self, output: &mut Rewrite) -> Result<()> {
        let (snapshot, documents) = {
            let state = self.state()?;
            (state.snapshot(), state.documents().clone())
        };
        let mut part = Part::default();
        for (slot, record) in snapshot.records.iter_from(0) {
            part.add(&snapshot, slot, record)?;
            if part.bytes >= FRAME_BYTES {
                output.write(std::mem::take(&mut part))?;
            }
        }
        for (source, document) in documents {
            part.add_document(source, document);
            if part.bytes >= FRAME_BYTES {
                output.write(std::mem::take(&mut part))?;
            }
        }
        output.write(part)?;
        output.seal()
    }
}

/// The new log, and the records as they stand in it.
struct Rewrite {
    writer: Writer,
    records: Records,
}

/// One frame of the new log.
#[derive(Default)]
struct Part {
    transaction: Transaction,
    /// The slot of each record.
    slots: Vec<u32>,
    bytes: usize,
}

impl Part {
    fn add(&mut self, snapshot: &Snapshot, slot: u32, stored: &StoredRecord) -> Result<()> {
        let Batch { ids, vectors, texts, metadata, places } = &mut self.transaction.upserts;
        ids.push(stored.id.clone());
        vectors.extend_from_slice(snapshot.vectors.row(slot));
        texts.push(snapshot.text(stored)?);
        metadata.push(stored.metadata.as_deref().cloned());
        places.push(stored.place.clone());
        self.slots.push(slot);
        self.bytes += stored.logged_bytes as usize;
        Ok(())
    }

    fn add_document(&mut self, source: String, document: Document) {
        self.bytes += source.len() + size_of::<Document>();
        self.transaction.documents.push((source, Some(document)));
    }
}

impl Rewrite {
    fn write(&mut self, part: Part) -> Result<()> {
        if part.transaction == Transaction::default() {
            return Ok(());
        }
        let (mut frame, changes) = transaction::encode(part.transaction)?;
        let payload_offset = self.append(&mut frame, 0)?;
        for (slot, record) in part.slots.into_iter().zip(changes.records) {
            self.records.replace(slot, Some(record.in_payload_at(payload_offset)));
        }
        Ok(())
    }

    /// Flushes, and says so in a last frame, which is flushed too.
    fn seal(&mut self) -> Result<()> {
        self.writer.log.flush()?;
        let end = self.writer.end;
        self.append(&mut PreparedFrame::seal(), end)?;
        self.writer.log.flush()
    }

    fn append(&mut self, frame: &mut PreparedFrame, synced: u64) -> Result<u64> {
        let outcome = self.writer.append(frame, synced);
        outcome.map_err(Error::io(&self.writer.log.path, "write to"))
    }
}
