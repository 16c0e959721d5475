//! Reading all of a segment, to know that it is sound.

use super::Segment;
use crate::error::{Error, Result};

impl Segment {
    /// Compares every byte of the file with its checksum, then reads every record and looks its id
    /// up. Tells the offset of what is wrong, and what. The pages that it read do not stay in
    /// memory.
    pub fn verify(&self, report: &mut dyn FnMut(u64, String)) {
        let mut sound = true;
        self.blocks.verify(&mut |offset, what| {
            sound = false;
            report(offset, what);
        });
        // Damaged bytes would be told again, once for every row that they belong to.
        if !sound {
            return;
        }
        if let Err(error) = self.metadata_index() {
            report(self.records.start, error.to_string());
        }
        let mut vector = vec![0.0; self.dimension()];
        for row in 0..self.rows() {
            if let Err(error) = self.verify_row(row, &mut vector) {
                match error {
                    Error::Corrupt { offset, reason, .. } => report(offset, reason),
                    other => report(self.records.start, other.to_string()),
                }
            }
        }
        self.blocks.mapping().dont_need(0..self.file_bytes() as usize);
    }

    fn verify_row(&self, row: u32, vector: &mut [f32]) -> Result<()> {
        let id = self.record(row)?.id;
        self.vector(row, vector)?;
        if self.find(&id)? != Some(row) {
            let reason = format!("the id table does not lead to row {row}, {id}");
            return Err(self.blocks.corrupt(self.id_table.start, reason));
        }
        Ok(())
    }
}
