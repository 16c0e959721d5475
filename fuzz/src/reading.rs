//! Everything that reads files. What it finds does not matter, nor whether it is an error.

use std::path::Path;

use database::{
    Collection, Database, Direction, FieldQuery, FieldSource, Fields, Filter, FusedQuery, GroupBy,
    Id, Key, Language, OrderBy, SearchOptions, SparseVector, TextQuery, verify,
};
use serde_json::{Value, json};

/// Asks a collection for everything that it can be asked for.
pub fn read_collection(collection: &Collection) {
    let filter = Filter::parse(&json!({"weight": {"$gte": 9}, "tags": {"$contains": "a"}}));
    let filter = filter.expect("a filter");
    let key = Key::parse("weight").expect("a key");
    let _ = collection.len();
    let _ = collection.scan(None, usize::MAX, None);
    let _ = collection.scan(None, 5, Some(&filter));
    let _ = collection.count(&filter);
    let ids: Vec<Id> = (0..40).map(Id::Int).chain([Id::from("id 3"), Id::from("none")]).collect();
    let _ = collection.get(&ids);
    let query = [0.3, 0.9, -1.0];
    for exact in [false, true] {
        let options = SearchOptions { exact, ..SearchOptions::new(3) };
        let _ = collection.search(&query, &options);
        let _ = collection.search(&query, &SearchOptions { filter: Some(&filter), ..options });
    }
    let options = SearchOptions::new(4);
    let _ = collection.search_groups(&query, &options, &GroupBy { key: &key, size: 2 }, 0);
    let order = OrderBy { key: key.clone(), direction: Direction::Descending };
    let _ = collection.find(Some(&filter), Some(&order), 1, 9);
    let _ = collection.facet(&Key::parse("tags").expect("a key"), None);
    let text = TextQuery::new("the number 7", Language::parse("en").expect("English"));
    let _ = collection.search_text(&text, Some(&filter), 0, 5);
    let phrase = TextQuery::new("\"text number\" -9", Language::parse("en").expect("English"));
    let _ = collection.search_text(&phrase, None, 0, 5);
    read_fields(collection, &filter);
    let _ = collection.documents();
    let _ = collection.stats();
}

/// Searches both fields alone, filtered, exactly, and fused.
fn read_fields(collection: &Collection, filter: &Filter) {
    let title = FieldQuery::Dense(&[0.3, 0.9, -1.0]);
    let terms = SparseVector::new(vec![1, 9, 107, 4000], vec![1.0, -0.5, 2.0, 1.0]);
    let terms = terms.expect("a sparse vector");
    let terms = FieldQuery::Sparse(&terms);
    for options in [
        SearchOptions::new(3),
        SearchOptions { exact: true, ..SearchOptions::new(3) },
        SearchOptions { filter: Some(filter), ..SearchOptions::new(30) },
    ] {
        let _ = collection.search_field("title", title, &options, None, 0);
        let _ = collection.search_field("terms", terms, &options, None, 0);
    }
    let query = |field, query| FusedQuery { field: Some(field), query, weight: 1.0 };
    let fused = [query("title", title), query("terms", terms)];
    let _ = collection.search_fused(&fused, &SearchOptions::new(5), None, None, 0);
}

/// Verifies a database and reads its collection, without writing to it.
pub fn read_database(path: &Path) {
    let _ = verify(path);
    let Ok(database) = Database::open_read_only(path) else {
        return;
    };
    if let Ok(collection) = database.collection("c", None) {
        read_collection(&collection);
    }
    let _ = database.close();
}

/// A row's fields for an index that asks: always the same.
pub struct Rows;

impl FieldSource for Rows {
    fn with_fields(&self, row: u32, see: &mut dyn FnMut(&Fields<'_>)) -> database::Result<()> {
        let metadata: Value = json!({"weight": row, "tags": ["a", row % 4]});
        let id = Id::Int(i64::from(row));
        see(&Fields { id: &id, metadata: Some(&metadata), source: None, line: None });
        Ok(())
    }
}
