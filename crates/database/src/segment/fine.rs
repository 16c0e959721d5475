//! Codes of all rows of a segment's graph, once it is searched so much that they pay. Coding reads all
//! nodes, one after the other, and so brings those into memory that no walk has met yet.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::Segment;
use super::vectors::Vectors;
use crate::graph::FineRows;

/// Walks through a graph before its rows are coded, at least: whoever looks once shall not pay.
const LEAST_WALKS: u64 = 1000;

/// One more for so many rows.
const ROWS_A_WALK: u64 = 64;

/// Nodes that are read in between two looks at whether to go on.
const ROWS_READ_AT_ONCE: u32 = 1024;

/// The codes, and what led to them.
#[derive(Default)]
pub(super) struct CodesOfGraph {
    rows: OnceLock<FineRows>,
    walks: AtomicU64,
    is_begun: AtomicBool,
}

/// Walks that a walk which waited for the medium takes back: where many do, codes would take the
/// memory that nodes lack.
const WALKS_A_WAIT: u64 = 4;

impl CodesOfGraph {
    pub(super) fn note_walk(&self, waited: bool) {
        if waited {
            let less = |walks: u64| Some(walks.saturating_sub(WALKS_A_WAIT));
            let _ = self.walks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else {
            self.walks.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Segment {
    /// Codes of the rows of the graph, once they were made.
    pub(crate) fn fine_rows(&self) -> Option<&FineRows> {
        self.fine.rows.get()
    }

    /// Bytes of memory that the codes take.
    pub(crate) fn fine_memory_bytes(&self) -> u64 {
        self.fine.rows.get().map_or(0, FineRows::memory_bytes)
    }

    /// Bytes of memory that the codes take, or will take once they are made.
    pub(crate) fn fine_bytes(&self) -> u64 {
        match (self.fine.is_begun.load(Ordering::Relaxed), self.graph()) {
            (true, Some(graph)) => FineRows::bytes_of(graph),
            _ => 0,
        }
    }

    /// Begins to make the codes on a thread of their own, if there were walks enough and they take
    /// no more memory than this. The segment is searched without them meanwhile.
    pub(crate) fn make_fine_rows_soon(self: &Arc<Self>, most_bytes: u64) {
        let walks = LEAST_WALKS.max(u64::from(self.rows()) / ROWS_A_WALK);
        if self.fine.walks.load(Ordering::Relaxed) < walks
            || self.fine.is_begun.load(Ordering::Relaxed)
            || self.waits_for_nodes()
        {
            return;
        }
        let Some(graph) = self.graph() else { return };
        if FineRows::bytes_of(graph) > most_bytes
            || self.fine.is_begun.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let segment = self.clone();
        let work = move || {
            crate::upkeep::give_way();
            // As long as somebody else has the segment.
            let proceed = || Arc::strong_count(&segment) > 1;
            if !segment.read_nodes_in(&proceed) {
                return;
            }
            if let Some(rows) = segment.graph().and_then(|graph| graph.fine_rows(&proceed)) {
                let _ = segment.fine.rows.set(rows);
            }
        };
        // Without a thread, searches go on as they did.
        let _ = std::thread::Builder::new().name("rac-fine".to_owned()).spawn(work);
    }

    /// Reads the nodes of the graph into memory; returns whether `proceed` let it come to an end.
    fn read_nodes_in(&self, proceed: &dyn Fn() -> bool) -> bool {
        let mut starts = (0..self.rows()).step_by(ROWS_READ_AT_ONCE as usize);
        starts.all(|start| {
            let rows = start..self.rows().min(start.saturating_add(ROWS_READ_AT_ONCE));
            self.blocks.mapping().read_in(self.bytes_of_vectors(rows));
            proceed()
        })
    }

    fn waits_for_nodes(&self) -> bool {
        match &self.vectors {
            Vectors::Flat { .. } => false,
            Vectors::Graph { residence, .. } => residence.waits(),
        }
    }
}
