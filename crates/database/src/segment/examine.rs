//! Finding out what is damaged in a segment: once something is, before it is read on.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::Segment;
use super::damage::{Damage, is_derived};
use super::graph_writer::error_of;
use super::id_table::{self, IdTable};
use super::vectors::Vectors;
use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::format::{
    SECTION_ID_TABLE, SECTION_INVERSE_NORMS, SECTION_RECORD_OFFSETS, SEGMENT_BLOCK_BYTES,
};
use crate::record_encoding::take_record;
use crate::score;

const BLOCK: u64 = SEGMENT_BLOCK_BYTES as u64;

impl Segment {
    /// Reads all of the segment, because damage was met at this offset, and remembers what is damaged.
    /// Returns whether anything is known now that was not known before.
    ///
    /// Takes as long as reading the file, once for each time that damage comes to light.
    pub fn examine(&self, met: u64) -> bool {
        self.examine_for(Some(met))
    }

    /// As [`Segment::examine`], though nothing was met.
    pub fn inspect(&self) -> bool {
        self.examine_for(None)
    }

    fn examine_for(&self, met: Option<u64>) -> bool {
        let _examining = self.damage.examining.lock();
        let before = self.damage.get().map_or_else(Damage::default, |damage| (*damage).clone());
        let is_known = |met| before.problems.iter().any(|(offset, _)| *offset == met);
        if before.was_examined && met.is_some_and(is_known) {
            return false;
        }
        let runs = self.blocks.damaged_runs();
        if runs.is_empty() && met.is_none() {
            return false;
        }
        let mut damage = Damage { was_examined: true, ..before.clone() };
        damage.add_problems(&runs);
        let is_hit = |place: &Range<u64>| runs.iter().any(|run| overlap(run, place));
        for section in self.header.sections.iter().filter(|section| is_derived(section.kind)) {
            let place = section.range.start..section.range.end.next_multiple_of(BLOCK);
            if is_hit(&place) || met.is_some_and(|met| place.contains(&met)) {
                damage.sections.insert(section.range.start);
            }
        }
        // Also the header, and zeros between sections: written anew, they are sound again.
        damage.sections.extend(runs.iter().map(|run| run.start));
        // The rows are read by way of what could be derived again.
        let is_unusable = |kind| {
            let section = self.header.section(kind);
            section.is_some_and(|section| damage.sections.contains(&section.start))
        };
        let (offsets, ids, norms) = (
            is_unusable(SECTION_RECORD_OFFSETS),
            is_unusable(SECTION_ID_TABLE),
            is_unusable(SECTION_INVERSE_NORMS),
        );
        if offsets {
            damage.record_offsets = Some(self.derive_record_offsets());
        }
        self.damage.set(damage.clone());
        damage.lost = before.lost.clone();
        for row in 0..self.rows() {
            if self.read_row(row, &runs).is_err() {
                damage.lost.insert(row);
            }
        }
        damage.lost_ids = self.find_lost_ids(&damage.lost);
        if ids {
            damage.ids = Some(Arc::new(self.derive_ids(&damage)));
        }
        if norms {
            damage.inverse_norms = Some(self.derive_inverse_norms(&damage));
        }
        let has_grown =
            damage.sections.len() > before.sections.len() || damage.lost.len() > before.lost.len();
        if let Some(met) = met.filter(|met| !has_grown && !is_known(*met)) {
            // No damage of the medium: whoever wrote it meant it.
            damage.problems.push((met, "the content is impossible".to_owned()));
        }
        self.damage.set(damage);
        self.blocks.mapping().dont_need(0..self.file_bytes() as usize);
        has_grown
    }

    /// # Errors
    /// `Corrupt` where a part of the row is damaged.
    fn read_row(&self, row: u32, damaged: &[Range<u64>]) -> Result<()> {
        self.read_record(row)?;
        if let Vectors::Graph { graph, section, .. } = &self.vectors
            && let Err(error) = graph.verify(row)
        {
            let [inverse_norm, vector] = graph
                .vector_ranges(row)
                .map(|range| section.start + range.start as u64..section.start + range.end as u64);
            if damaged.iter().any(|run| overlap(run, &inverse_norm) || overlap(run, &vector)) {
                return Err(error_of(error, self.path(), section.start));
            }
            // It is damaged elsewhere, or was before it was written: the vector is what was written.
            graph.trust(row);
        }
        self.vector(row, &mut vec![0.0; self.dimension()])
    }

    /// Where each record starts: where that is damaged, behind the record before it.
    fn derive_record_offsets(&self) -> Arc<[u64]> {
        let bytes = self.records.end - self.records.start;
        let mut offsets: Vec<u64> = Vec::with_capacity(self.rows() as usize + 1);
        for row in 0..=u64::from(self.rows()) {
            let before = offsets.last().copied().unwrap_or(0);
            let stored = self.blocks.read_u64(self.record_offsets.start + row * 8);
            let stored = stored.ok().filter(|offset| (before..=bytes).contains(offset));
            let behind = || match row {
                0 => Some(0),
                _ => self.record_length(before).map(|length| before + length),
            };
            // A record of no length is damaged, and so is what follows it up to the next offset.
            offsets.push(stored.or_else(behind).unwrap_or(before));
        }
        offsets.into()
    }

    /// The length of the record at an offset of its section, if one is there.
    fn record_length(&self, offset: u64) -> Option<u64> {
        let start = self.records.start + offset;
        let bytes = self.blocks.read_unchecked(start..self.records.end).ok()?;
        let mut reader = Reader::new(bytes);
        reader.take(4)?;
        if take_record(&mut reader)?.text.is_some() {
            reader.take(4)?;
        }
        let length = reader.position() as u64;
        self.decode(start, start + length).is_ok().then_some(length)
    }

    fn derive_ids(&self, damage: &Damage) -> IdTable {
        let mut ids = IdTable::new(self.rows());
        for row in (0..self.rows()).filter(|row| !damage.lost.contains(*row)) {
            let hash = self.id(row).and_then(|id| id_table::hash(&id, self.header.salt));
            if let Ok(hash) = hash {
                // No two rows have the same id.
                let _ = ids.insert(hash, row, |_| Ok::<_, Error>(false));
            }
        }
        ids
    }

    fn derive_inverse_norms(&self, damage: &Damage) -> Arc<[f32]> {
        let mut vector = vec![0.0; self.dimension()];
        let norm = |row: u32| match self.vector(row, &mut vector) {
            Ok(()) if !damage.lost.contains(row) => score::inverse_norm(&vector),
            _ => 0.0,
        };
        (0..self.rows()).map(norm).collect()
    }
}

impl Damage {
    fn add_problems(&mut self, runs: &[Range<u64>]) {
        let known: BTreeSet<u64> = self.problems.iter().map(|(offset, _)| *offset).collect();
        for run in runs.iter().filter(|run| !known.contains(&run.start)) {
            let what = format!("{} bytes changed on the medium", run.end - run.start);
            self.problems.push((run.start, what));
        }
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
