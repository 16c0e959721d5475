//! The manifest: which files are the collection. Replaced as a whole, by a rename, and kept twice.
//!
//! No guess can stand in for it: which of the segments in the folder count, and which of their rows are
//! dead, is written nowhere else. So there is a second copy, in the same folder, of which each
//! publication is the first part. Whichever of the two is found, its files are there, for files are
//! removed once both have been replaced ([`known`]).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;

use crate::bytes::{Reader, put_text};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::{put_in_place, sync_directory};
use crate::format::{
    FORMAT_VERSION, MANIFEST_CHECKSUM_BYTES, MANIFEST_COPY_FILE, MANIFEST_FILE,
    MANIFEST_FIXED_BYTES, MANIFEST_MAGIC,
};
use crate::index_options::IndexOptions;
use crate::log::{encode_schema, parse_schema};
use crate::record::Document;
use crate::schema::Schema;
use crate::set_aside::SetAside;
use crate::state::{LiveSegment, State};

/// What a collection consists of: these segments without their dead rows, then everything that the
/// logs from `first_log` on say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// The format version that it was read in, or is written in.
    pub(crate) version: u32,
    /// The oldest log that is not in a segment yet.
    pub(crate) first_log: u64,
    /// Numbers below this one were given to segments already.
    pub(crate) next_segment: u64,
    pub(crate) index: IndexOptions,
    /// Oldest first.
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) documents: BTreeMap<String, Document>,
    /// What each log says too, for when the header of one is damaged; `None` before format version 5.
    pub(crate) schema: Option<Schema>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SegmentEntry {
    pub(crate) number: u64,
    pub(crate) dead: RoaringBitmap,
    /// How many rows it has; `None` in a manifest of format version 2.
    pub(crate) rows: Option<u32>,
    /// Its file could not be read, and the collection has changed since: ids in it may be elsewhere too.
    pub(crate) is_aside: bool,
}

/// Rows of a segment of which nobody knows how many it has: more than there can be.
const UNKNOWN_ROWS: u32 = u32::MAX;

/// The first version whose manifests tell rows, and what is set aside.
const VERSION_WITH_ROWS: u32 = 3;

/// The first version whose manifests have a schema, and a second copy.
const VERSION_WITH_COPY: u32 = 5;

/// Where the manifest of a collection is.
pub(crate) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join(MANIFEST_FILE)
}

/// Where its second copy is.
pub(crate) fn manifest_copy_path(folder: &Path) -> PathBuf {
    folder.join(MANIFEST_COPY_FILE)
}

/// What the two copies of a manifest say.
pub(crate) struct Known {
    pub(crate) manifest: Manifest,
    /// The one that cannot be read, and why.
    pub(crate) fault: Option<Error>,
    /// Whether both are there and the same, in the present format.
    pub(crate) is_current: bool,
}

/// Reads the manifest, or its second copy where that cannot be read; `None` where there is neither.
///
/// # Errors
/// `Corrupt` where neither can be used, `Version` where one is of a newer release, `Io`.
pub(crate) fn known(folder: &Path) -> Result<Option<Known>> {
    known_as_read(folder, |path| fs::read(path))
}

/// The same of bytes that somebody else reads of the two files.
///
/// # Errors
/// As [`known`].
pub(crate) fn known_as_read(
    folder: &Path,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Option<Known>> {
    let parsed = |path: &Path| match read(path) {
        Ok(bytes) => Manifest::parse(path, &bytes).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read")(error)),
    };
    let damaged = |read: Result<Option<Manifest>>| match read {
        Ok(manifest) => Ok(Ok(manifest)),
        Err(error @ Error::Corrupt { .. }) => Ok(Err(error)),
        Err(error) => Err(error),
    };
    let (path, copy_path) = (manifest_path(folder), manifest_copy_path(folder));
    let manifest = damaged(parsed(&path))?;
    let copy = damaged(parsed(&copy_path))?;
    let missing = |path: &Path| Error::corrupt(path, 0, "the file is missing");
    let known = match (manifest, copy) {
        (Ok(None), Ok(None)) => return Ok(None),
        (Ok(Some(manifest)), Ok(Some(copy))) => {
            let is_current = manifest == copy && manifest.version == FORMAT_VERSION;
            Known { manifest, fault: None, is_current }
        }
        (Ok(Some(manifest)), copy) => {
            let fault = match copy {
                Err(error) => Some(error),
                Ok(_) => (manifest.version >= VERSION_WITH_COPY).then(|| missing(&copy_path)),
            };
            Known { manifest, fault, is_current: false }
        }
        (manifest, Ok(Some(copy))) => {
            let fault = Some(manifest.err().unwrap_or_else(|| missing(&path)));
            Known { manifest: copy, fault, is_current: false }
        }
        (Err(Error::Corrupt { path, offset, reason }), copy) => {
            let also = if copy.is_err() { "damaged" } else { "missing" };
            let reason = format!("{reason}, and its second copy is {also} too");
            return Err(Error::Corrupt { path, offset, reason });
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    Ok(Some(known))
}

impl Manifest {
    pub(crate) fn new(first_log: u64, index: IndexOptions, schema: Schema) -> Self {
        Self {
            version: FORMAT_VERSION,
            first_log,
            next_segment: 1,
            index,
            segments: Vec::new(),
            documents: BTreeMap::new(),
            schema: Some(schema),
        }
    }

    /// The same in the present format.
    pub(crate) fn upgraded(self, schema: &Schema) -> Self {
        Self { version: FORMAT_VERSION, schema: Some(schema.clone()), ..self }
    }

    /// What a state is on disk, together with the logs of its heads.
    pub(crate) fn of(
        state: &State,
        schema: &Schema,
        index: IndexOptions,
        next_segment: u64,
    ) -> Self {
        let entry = |live: &LiveSegment| SegmentEntry {
            number: live.segment.number(),
            dead: (*live.dead).clone(),
            rows: Some(live.segment.rows()),
            is_aside: false,
        };
        let aside = state.set_aside().iter().map(SetAside::entry);
        Self {
            version: FORMAT_VERSION,
            first_log: state.heads()[0].log().generation,
            next_segment,
            index,
            segments: aside.chain(state.segments().iter().map(entry)).collect(),
            documents: (**state.documents()).clone(),
            schema: Some(schema.clone()),
        }
    }

    /// # Errors
    /// `Corrupt` or `Version` for one that cannot be used.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let corrupt = |reason: &str| Error::Corrupt {
            path: path.to_owned(),
            offset: 0,
            reason: reason.to_owned(),
        };
        let Some((content, checksum)) = bytes
            .len()
            .checked_sub(MANIFEST_CHECKSUM_BYTES)
            .filter(|length| *length >= MANIFEST_FIXED_BYTES)
            .map(|length| bytes.split_at(length))
        else {
            return Err(corrupt("the manifest ends too early"));
        };
        if !content.starts_with(&MANIFEST_MAGIC) {
            return Err(corrupt("this is not a manifest"));
        }
        let version = u32::from_le_bytes([content[8], content[9], content[10], content[11]]);
        if version > FORMAT_VERSION {
            let path = path.to_owned();
            return Err(Error::Version { path, found: version, supported: FORMAT_VERSION });
        }
        if crc32fast::hash(content).to_le_bytes() != checksum {
            return Err(corrupt("the manifest's checksum does not match"));
        }
        // Version 1 had no manifests.
        let decoded = decode(content, version).filter(|_| version > 1);
        decoded
            .ok_or_else(|| corrupt("the manifest's checksum matches but its content is impossible"))
    }

    /// Puts this manifest in the place of the one before, and so its second copy, which comes first:
    /// where only that can be written, the manifest before counts. Returns once both are on the medium.
    /// A crash may leave either of them old and the other one new.
    ///
    /// # Errors
    /// `Io`: then either of the two may be found after a power failure.
    pub(crate) fn write(&self, disk: &Disk, folder: &Path) -> Result<()> {
        let bytes = self.encode()?;
        let copy = manifest_copy_path(folder);
        let is_first = !copy.exists();
        put_in_place(disk, &copy, &bytes)?;
        if is_first {
            // A manifest of this version is never found without a copy.
            sync_directory(disk, folder)?;
        }
        put_in_place(disk, &manifest_path(folder), &bytes)?;
        sync_directory(disk, folder)
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = MANIFEST_MAGIC.to_vec();
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.first_log.to_le_bytes());
        bytes.extend_from_slice(&self.next_segment.to_le_bytes());
        bytes.extend_from_slice(&(self.documents.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.index.minimum_rows.to_le_bytes());
        bytes.extend_from_slice(&self.index.degree.to_le_bytes());
        bytes.extend_from_slice(&self.index.build_effort.to_le_bytes());
        bytes.extend_from_slice(&self.index.search_effort.to_le_bytes());
        for SegmentEntry { number, dead, rows, is_aside } in &self.segments {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&rows.unwrap_or(UNKNOWN_ROWS).to_le_bytes());
            bytes.extend_from_slice(&u32::from(*is_aside).to_le_bytes());
            bytes.extend_from_slice(&(dead.serialized_size() as u64).to_le_bytes());
            // Writing to a vector does not fail.
            let _ = dead.serialize_into(&mut bytes);
        }
        for (source, document) in &self.documents {
            put_text(&mut bytes, source)?;
            bytes.extend_from_slice(&document.fingerprint);
            bytes.extend_from_slice(&document.records.to_le_bytes());
        }
        if let Some(schema) = &self.schema {
            bytes.extend_from_slice(&encode_schema(schema));
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }
}

fn decode(content: &[u8], version: u32) -> Option<Manifest> {
    let mut reader = Reader::new(content);
    reader.take(MANIFEST_MAGIC.len())?;
    reader.u32()?;
    let segment_count = reader.u32()?;
    let first_log = reader.u64()?;
    let next_segment = reader.u64()?;
    let document_count = reader.u64()?;
    let index = IndexOptions {
        minimum_rows: reader.u32()?,
        degree: reader.u32()?,
        build_effort: reader.u32()?,
        search_effort: reader.u32()?,
    };
    let mut segments = Vec::new();
    for _ in 0..segment_count {
        let number = reader.u64()?;
        let (rows, is_aside) = match version {
            ..VERSION_WITH_ROWS => (None, false),
            _ => (Some(reader.u32()?).filter(|rows| *rows != UNKNOWN_ROWS), reader.u32()? != 0),
        };
        let bytes = usize::try_from(reader.u64()?).ok()?;
        let mut dead = Cursor::new(reader.take(bytes)?);
        let dead = RoaringBitmap::deserialize_from(&mut dead).ok()?;
        segments.push(SegmentEntry { number, dead, rows, is_aside });
    }
    let mut documents = BTreeMap::new();
    for _ in 0..document_count {
        let source = reader.text()?.to_owned();
        let document = Document { fingerprint: reader.array()?, records: reader.u32()? };
        documents.insert(source, document);
    }
    let schema = match version {
        ..VERSION_WITH_COPY => None,
        _ => Some(parse_schema(&mut reader).filter(|schema| schema.validate().is_ok())?),
    };
    let numbered = segments.iter().all(|segment| segment.number < next_segment);
    (reader.remaining() == 0 && numbered && index.validate().is_ok()).then_some(Manifest {
        version,
        first_log,
        next_segment,
        index,
        segments,
        documents,
        schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Metric;

    fn sample() -> Manifest {
        let schema = Schema::new(5, Metric::Cosine);
        let mut manifest = Manifest::new(3, IndexOptions::default(), schema);
        manifest.next_segment = 9;
        manifest.segments = vec![
            SegmentEntry { number: 2, dead: RoaringBitmap::new(), rows: Some(0), is_aside: false },
            SegmentEntry {
                number: 8,
                dead: [1, 5, 70_000].into_iter().collect(),
                rows: None,
                is_aside: true,
            },
        ];
        manifest.documents.insert("a.md".into(), Document { fingerprint: [7; 32], records: 3 });
        manifest
    }

    #[test]
    fn a_manifest_reads_back_and_every_damaged_byte_is_noticed_and_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(known(folder.path()).unwrap().is_none());
        let manifest = sample();
        manifest.write(&Disk::default(), folder.path()).unwrap();
        let found = known(folder.path()).unwrap().unwrap();
        assert!(found.fault.is_none() && found.is_current);
        assert_eq!(found.manifest, manifest);
        let paths = [manifest_path(folder.path()), manifest_copy_path(folder.path())];
        let whole = fs::read(&paths[0]).unwrap();
        for path in &paths {
            for position in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[position] ^= 1 << (position % 8);
                let is_newer = (8..12).contains(&position);
                for bytes in [&flipped[..], &whole[..position]] {
                    fs::write(path, bytes).unwrap();
                    match known(folder.path()) {
                        Err(Error::Version { .. }) if is_newer => {}
                        found => {
                            let found = found.unwrap().unwrap();
                            assert_eq!(found.manifest, manifest, "{position}");
                            assert!(!found.is_current);
                            let fault = found.fault.unwrap().to_string();
                            assert!(fault.contains(&format!("{} is damaged", path.display())));
                        }
                    }
                }
            }
            fs::remove_file(path).unwrap();
            let found = known(folder.path()).unwrap().unwrap();
            assert_eq!(found.manifest, manifest);
            assert!(found.fault.unwrap().to_string().contains("the file is missing"));
            fs::write(path, &whole).unwrap();
        }
        // Both: there is nothing to go by.
        paths.iter().for_each(|path| fs::write(path, &whole[..70]).unwrap());
        let error = known(folder.path()).err().unwrap().to_string();
        assert!(error.contains("its second copy is damaged too"), "{error}");
        fs::remove_file(&paths[1]).unwrap();
        let error = known(folder.path()).err().unwrap().to_string();
        assert!(error.contains("its second copy is missing too"), "{error}");
    }

    #[test]
    fn an_older_copy_does_not_count_and_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = sample();
        manifest.write(&Disk::default(), folder.path()).unwrap();
        let old = fs::read(manifest_copy_path(folder.path())).unwrap();
        manifest.first_log = 7;
        manifest.write(&Disk::default(), folder.path()).unwrap();
        fs::write(manifest_copy_path(folder.path()), &old).unwrap();
        let found = known(folder.path()).unwrap().unwrap();
        assert!(found.fault.is_none() && !found.is_current);
        assert_eq!(found.manifest, manifest);
    }

    #[test]
    fn manifests_of_versions_2_and_4_say_the_same_but_for_what_they_did_not_know() {
        let mut manifest = sample();
        let dead: RoaringBitmap = [4, 9].into_iter().collect();
        manifest.segments = vec![SegmentEntry { number: 2, dead, rows: Some(70), is_aside: false }];
        (manifest.version, manifest.schema) = (4, None);
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::parse("MANIFEST".as_ref(), &bytes).unwrap(), manifest);
        // As that version wrote it: without the rows and the state of each segment.
        manifest.version = 2;
        let mut bytes = manifest.encode().unwrap();
        bytes.drain(MANIFEST_FIXED_BYTES + 8..MANIFEST_FIXED_BYTES + 16);
        let end = bytes.len() - MANIFEST_CHECKSUM_BYTES;
        let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        manifest.segments[0].rows = None;
        assert_eq!(Manifest::parse("MANIFEST".as_ref(), &bytes).unwrap(), manifest);
    }
}
