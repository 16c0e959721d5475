//! The bytes of a metadata index.

#![no_main]

use database::{Direction, FacetCounts, Filter, Key, MetadataIndex, OrderBy};
use libfuzzer_sys::fuzz_target;
use rac_fuzz::{Rows, seal_metadata_index};
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    seal_metadata_index(&mut bytes);
    let Ok(index) = MetadataIndex::open(bytes, "fuzzed".as_ref(), 0) else {
        return;
    };
    // What is proportional to the rows takes its time: that is no finding.
    if index.rows() > 10_000 {
        return;
    }
    let _ = index.keys();
    let _ = index.verify();
    for filter in [
        json!({"weight": {"$gte": 9}}),
        json!({"weight": {"$in": [1, 2.5, "x", null]}, "tags": {"$contains": "a"}}),
        json!({"$not": {"in.deep": true}}),
        json!({"$or": [{"$source": {"$lt": "t"}}, {"none": {"$exists": false}}]}),
    ] {
        let filter = Filter::parse(&filter).expect("a filter");
        let _ = index.estimate(&filter);
        let _ = index.evaluate(&filter, None, &Rows);
    }
    for name in ["weight", "tags", "$id", "$source", "none"] {
        let key = Key::parse(name).expect("a key");
        let _ = index.facet(&key, None, &Rows, &mut FacetCounts::default());
        for direction in [Direction::Ascending, Direction::Descending] {
            let order = OrderBy { key: key.clone(), direction };
            let _ = index.sorted_rows(&order, None, 7, &Rows);
        }
    }
});
