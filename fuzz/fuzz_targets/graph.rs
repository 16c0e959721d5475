//! The bytes of a graph. The first byte says how many pages its entry section has.

#![no_main]

use database::graph::layout::PAGE_BYTES;
use database::graph::{Graph, Scratch, SearchOptions};
use database::{ElementType, Metric};
use libfuzzer_sys::fuzz_target;
use rac_fuzz::{seal_graph, unpack};

fuzz_target!(|input: &[u8]| {
    let Some((entry_pages, packed)) = input.split_first() else {
        return;
    };
    let mut bytes = unpack(packed);
    seal_graph(&mut bytes, (usize::from(*entry_pages) + 1) * PAGE_BYTES);
    // What its first page says, a segment's header says too.
    let _ = Graph::salvage(bytes.clone(), Metric::Cosine, ElementType::Float32, 23, 3);
    let Ok(graph) = Graph::open(bytes) else {
        return;
    };
    // Larger ones take their time: that is no finding.
    if graph.dimension() > 64 {
        return;
    }
    let vector = vec![0.5; graph.dimension()];
    let query = graph.prepare(&vector);
    let options = SearchOptions::new(5, graph.dimension());
    graph.search(&query, &options, |row| row % 3 > 0, &mut Scratch::default());
    let mut vector = vec![0.0; graph.dimension()];
    for row in 0..graph.count().min(64) {
        let _ = graph.verify(row);
        graph.vector(row, &mut vector);
    }
});
