//! Everything that reads files. What it finds does not matter, nor whether it is an error.

use std::path::Path;

use database::{
    Collection, Database, Direction, FieldSource, Fields, Filter, GroupBy, Id, Key, Language,
    OrderBy, SearchOptions, TextQuery, verify,
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
    let _ = collection.documents();
    let _ = collection.stats();
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
