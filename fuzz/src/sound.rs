//! A sound database to spoil.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use database::{
    Batch, Database, FieldVector, Id, IndexOptions, Metric, Options, Place, Schema, SparseVector,
    VectorField,
};
use serde_json::json;
use tempfile::TempDir;

use crate::reading::read_collection;

/// The files of a database whose collection `c` has a segment with a graph, one without, a log, and
/// the indexes of words and of fields beside its segments, by their paths in its folder.
pub struct Sound {
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// A folder in memory where there is such a thing.
pub fn scratch_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).expect("a folder in memory"),
        false => tempfile::tempdir().expect("a folder"),
    }
}

fn batch(ids: std::ops::Range<i64>) -> Batch {
    let mut batch = Batch::default();
    let mut titles = Vec::new();
    let mut terms = Vec::new();
    for id in ids {
        let title = vec![(id as f32 * 0.7).sin(), 0.25, (id as f32).cos()];
        titles.push((id % 6 > 0).then_some(FieldVector::Dense(title)));
        let sparse =
            SparseVector::new(vec![id as u32 % 3, 9, 100 + id as u32], vec![1.0, 0.5, -2.0]);
        terms.push((id % 5 > 0).then(|| FieldVector::Sparse(sparse.expect("a sparse vector"))));
        batch.ids.push(if id % 2 == 0 { Id::Int(id) } else { Id::from(format!("id {id}")) });
        batch.vectors.extend([(id as f32).cos(), (id as f32).sin(), 0.5]);
        batch.texts.push((id % 3 > 0).then(|| format!("text number {id}")));
        let nested = json!({"weight": id, "tags": ["a", id % 4], "in": {"deep": id % 7 == 0}});
        batch.metadata.push((id % 4 > 0).then_some(nested));
        batch.places.push((id % 5 == 0).then(|| Place {
            source: format!("source-{}.md", id % 3).into(),
            start: id as u64,
            end: id as u64 + 9,
            line: id as u64 / 2,
        }));
    }
    batch.fields.insert("title".to_owned(), titles);
    batch.fields.insert("terms".to_owned(), terms);
    batch
}

fn write(path: &Path) -> database::Result<()> {
    let database = Database::open(path, &Options { threads: 1, ..Options::default() })?;
    let index = IndexOptions { minimum_rows: 16, ..IndexOptions::default() };
    let title = VectorField::dense("title", 3, Metric::Cosine);
    let schema = Schema::new(3, Metric::Cosine);
    let schema = schema.with_fields(vec![title, VectorField::sparse("terms")]);
    let collection = database.collection_with_index("c", Some(schema), Some(index))?;
    collection.upsert(batch(0..24))?;
    // The first search by words makes its indexes; they are kept up from then on.
    read_collection(&collection);
    collection.optimize()?;
    collection.upsert(batch(24..36))?;
    collection.delete(&[Id::Int(2), Id::Int(26)])?;
    collection.compact()?;
    collection.delete(&[Id::Int(4)])?;
    collection.upsert(batch(36..40))?;
    collection.upsert(batch(6..8))?;
    read_collection(&collection);
    database.close()
}

fn read(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let entries = fs::read_dir(folder).expect("list");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(root, &path, files);
        } else if path.file_name().is_some_and(|name| name != "LOCK") {
            let bytes = fs::read(&path).expect("read");
            files.push((path.strip_prefix(root).expect("inside").to_owned(), bytes));
        }
    }
}

impl Sound {
    /// Made once a process.
    pub fn get() -> &'static Self {
        static SOUND: LazyLock<Sound> = LazyLock::new(|| {
            let folder = scratch_folder();
            write(folder.path()).expect("a sound database");
            let mut files = Vec::new();
            read(folder.path(), folder.path(), &mut files);
            Sound { files }
        });
        &SOUND
    }

    /// The first file whose name ends like this.
    pub fn ending(&self, end: &str) -> (&Path, &[u8]) {
        self.all_ending(end).next().expect("there is one")
    }

    /// The files whose names end like this.
    pub fn all_ending(&self, end: &str) -> impl Iterator<Item = (&Path, &[u8])> + Clone {
        let is_it = move |path: &Path| path.to_string_lossy().ends_with(end);
        let files = self.files.iter().filter(move |(path, _)| is_it(path));
        files.map(|(path, bytes)| (&**path, &**bytes))
    }

    /// Writes all files, and `bytes` in the place of one, if that is some.
    pub fn write(&self, folder: &Path, spoilt: &[(&Path, Option<&[u8]>)]) {
        fs::create_dir_all(folder.join("collections/c")).expect("create");
        for (path, bytes) in &self.files {
            let spoilt = spoilt.iter().find(|(other, _)| other == path);
            match spoilt.map_or(Some(&bytes[..]), |(_, spoilt)| *spoilt) {
                Some(bytes) => fs::write(folder.join(path), bytes).expect("write"),
                None => drop(fs::remove_file(folder.join(path))),
            }
        }
    }
}

/// Runs `work` in a folder that is empty and goes afterwards.
pub fn with_folder(work: impl FnOnce(&Path)) {
    let folder = scratch_folder();
    work(folder.path());
}
