//! The manifest: which files are the collection. Replaced as a whole, by a rename.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;

use crate::bytes::{Reader, put_text};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::format::{
    FORMAT_VERSION, MANIFEST_CHECKSUM_BYTES, MANIFEST_FILE, MANIFEST_FIXED_BYTES, MANIFEST_MAGIC,
};
use crate::index_options::IndexOptions;
use crate::record::Document;
use crate::set_aside::SetAside;
use crate::state::{LiveSegment, State};

/// What a collection consists of: these segments without their dead rows, then everything that the
/// logs from `first_log` on say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// The oldest log that is not in a segment yet.
    pub(crate) first_log: u64,
    /// Numbers below this one were given to segments already.
    pub(crate) next_segment: u64,
    pub(crate) index: IndexOptions,
    /// Oldest first.
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) documents: BTreeMap<String, Document>,
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

/// Where the manifest of a collection is.
pub(crate) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join(MANIFEST_FILE)
}

impl Manifest {
    pub(crate) fn new(first_log: u64, index: IndexOptions) -> Self {
        Self { first_log, next_segment: 1, index, segments: Vec::new(), documents: BTreeMap::new() }
    }

    /// What a state is on disk, together with the logs of its heads.
    pub(crate) fn of(state: &State, index: IndexOptions, next_segment: u64) -> Self {
        let entry = |live: &LiveSegment| SegmentEntry {
            number: live.segment.number(),
            dead: (*live.dead).clone(),
            rows: Some(live.segment.rows()),
            is_aside: false,
        };
        let aside = state.set_aside().iter().map(SetAside::entry);
        Self {
            first_log: state.heads()[0].log().generation,
            next_segment,
            index,
            segments: aside.chain(state.segments().iter().map(entry)).collect(),
            documents: (**state.documents()).clone(),
        }
    }

    /// `None` where there is none, as in collections of format version 1.
    ///
    /// # Errors
    /// `Corrupt` or `Version` for one that cannot be used, `Io` where reading fails.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = manifest_path(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        Self::parse(&path, &bytes).map(Some)
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

    /// Puts this manifest in the place of the one before. Returns once it is on the medium.
    ///
    /// # Errors
    /// `Io`: then either of the two may be found after a power failure.
    pub(crate) fn write(&self, disk: &Disk, folder: &Path) -> Result<()> {
        write_atomically(disk, &manifest_path(folder), &self.encode()?)
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = MANIFEST_MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
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
    let numbered = segments.iter().all(|segment| segment.number < next_segment);
    (reader.remaining() == 0 && numbered && index.validate().is_ok()).then_some(Manifest {
        first_log,
        next_segment,
        index,
        segments,
        documents,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_every_damaged_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        let mut manifest = Manifest::new(3, IndexOptions::default());
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
        manifest.write(&Disk::default(), folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(manifest.clone()));
        let path = manifest_path(folder.path());
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[position] ^= 1 << (position % 8);
            fs::write(&path, &flipped).unwrap();
            assert!(Manifest::read(folder.path()).is_err(), "flipped at {position}");
            fs::write(&path, &whole[..position]).unwrap();
            assert!(Manifest::read(folder.path()).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn a_manifest_of_version_2_says_the_same_but_for_what_it_did_not_know() {
        let mut manifest = Manifest::new(3, IndexOptions::default());
        manifest.next_segment = 9;
        let dead: RoaringBitmap = [4, 9].into_iter().collect();
        manifest.segments = vec![SegmentEntry { number: 2, dead, rows: Some(70), is_aside: false }];
        let mut bytes = manifest.encode().unwrap();
        // As that version wrote it: without the rows and the state of each segment.
        bytes.drain(MANIFEST_FIXED_BYTES + 8..MANIFEST_FIXED_BYTES + 16);
        bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
        let end = bytes.len() - MANIFEST_CHECKSUM_BYTES;
        let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        manifest.segments[0].rows = None;
        assert_eq!(Manifest::parse("MANIFEST".as_ref(), &bytes).unwrap(), manifest);
    }
}
