//! One log file: its header, and positioned reads and writes.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use kernels::ElementType;

use crate::bytes::Reader;
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::files::{read_exact_at, unfinished_path};
use crate::format::{
    FIELD_DENSE, FIELD_FIXED_BYTES, FIELD_SPARSE, FORMAT_VERSION, FRAME_ALIGNMENT,
    FRAME_HEADER_BYTES, LOG_HEADER_FIXED_BYTES, LOG_MAGIC, MAX_FIELD_NAME_BYTES, MAX_FIELDS,
    MAX_MODEL_TEXT_BYTES,
};
use crate::frame::fitting_salt;
use crate::frames::Frames;
use crate::records::TextLocation;
use crate::schema::{Metric, Model, Schema, element_code, element_from_code};
use crate::vector_fields::{DenseField, FieldKind, VectorField};

/// An open log. Shared by readers, who keep it readable after its records have become a segment.
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) generation: u64,
    /// Makes this file's frame checksums unlike any other's, so that old disk blocks and logs
    /// stored inside records are never taken for frames.
    pub(crate) salt: u64,
    /// The format version that it was written in.
    pub(crate) version: u32,
    /// Where the first frame starts.
    pub(crate) first_frame: u64,
    pub(crate) file: DiskFile,
}

impl LogFile {
    /// Creates a log of no frames under an unfinished name. The caller flushes and publishes it.
    pub(crate) fn create(
        disk: &Disk,
        path: PathBuf,
        generation: u64,
        schema: &Schema,
    ) -> Result<Self> {
        let unfinished = unfinished_path(&path);
        let file = disk.create(&unfinished).map_err(Error::io(&unfinished, "create"))?;
        // The standard library seeds each `RandomState` differently: a random number without a
        // dependency.
        let salt = RandomState::new().hash_one(generation);
        let header = encode_header(generation, salt, schema);
        file.write_all_at(&header, 0).map_err(Error::io(&unfinished, "write to"))?;
        let first_frame = header.len() as u64;
        Ok(Self { path, generation, salt, version: FORMAT_VERSION, first_frame, file })
    }

    pub(crate) fn flush(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path, "flush"))
    }

    /// Gives a created and flushed log its name. The caller flushes the folder.
    pub(crate) fn publish(&self, disk: &Disk) -> Result<()> {
        disk.rename(&unfinished_path(&self.path), &self.path)
            .map_err(Error::io(&self.path, "rename a file to"))
    }

    /// Removes a created log that will not be published. Where this fails, the next opening of
    /// the collection removes it.
    pub(crate) fn discard(&self, disk: &Disk) {
        let _ = disk.remove_file(&unfinished_path(&self.path));
    }

    /// Opens a log and reads its header.
    ///
    /// # Errors
    /// `Corrupt` or `Version` for a header that cannot be used, `Io` where reading fails.
    pub(crate) fn open(disk: &Disk, path: &Path, writable: bool) -> Result<(Self, Schema)> {
        let file = if writable { disk.open(path) } else { disk.open_read_only(path) };
        let file = file.map_err(Error::io(path, "open"))?;
        let header = read_header(path, file.as_file())?;
        let log = Self {
            path: path.to_owned(),
            generation: header.generation,
            salt: header.salt,
            version: header.version,
            first_frame: header.bytes,
            file,
        };
        Ok((log, header.schema))
    }

    /// Opens a log whose header is damaged, as that of a generation and a schema, to look for its
    /// frames; `None` where it is too short to have any. If no frame has the salt that the header has,
    /// it is one that the first frame fits.
    ///
    /// # Errors
    /// `Io` where reading fails.
    pub(crate) fn open_without_header(
        path: &Path,
        generation: u64,
        schema: &Schema,
    ) -> Result<Option<Self>> {
        let file = Disk::default().open_read_only(path).map_err(Error::io(path, "open"))?;
        let mut fixed = [0; LOG_HEADER_FIXED_BYTES];
        match read_exact_at(file.as_file(), &mut fixed, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(Error::io(path, "read"))?,
        }
        let mut salt = Reader::new(&fixed[24..32]);
        let mut log = Self {
            path: path.to_owned(),
            generation,
            salt: salt.u64().unwrap_or_default(),
            version: FORMAT_VERSION,
            first_frame: encode_header(generation, 0, schema).len() as u64,
            file,
        };
        if Frames::new(&log)?.find_header(log.first_frame, |_| true)?.is_none() {
            let mut header = [0; FRAME_HEADER_BYTES];
            match read_exact_at(log.file.as_file(), &mut header, log.first_frame) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                read => read.map_err(Error::io(path, "read"))?,
            }
            log.salt = fitting_salt(&header, log.first_frame);
        }
        Ok(Some(log))
    }

    pub(crate) fn length(&self) -> Result<u64> {
        self.file
            .as_file()
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(Error::io(&self.path, "find the size of"))
    }

    /// Reads bytes that are known to be there.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        read_exact_at(self.file.as_file(), &mut bytes, offset)
            .map_err(|error| read_error(&self.path, offset, error))?;
        Ok(bytes)
    }

    /// Reads a text back.
    ///
    /// # Errors
    /// `Corrupt` where it is no longer what was written.
    pub(crate) fn read_text(&self, location: TextLocation) -> Result<String> {
        let bytes = self.read(location.offset, location.length as usize)?;
        if crc32fast::hash(&bytes) != location.checksum {
            return Err(self.corrupt(location.offset, "a record's text changed on the medium"));
        }
        String::from_utf8(bytes)
            .map_err(|_| self.corrupt(location.offset, "a record's text is not UTF-8"))
    }

    pub(crate) fn corrupt(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::corrupt(&self.path, offset, reason)
    }
}

struct Header {
    version: u32,
    generation: u64,
    salt: u64,
    bytes: u64,
    schema: Schema,
}

fn encode_header(generation: u64, salt: u64, schema: &Schema) -> Vec<u8> {
    let schema = encode_schema(schema);
    let bytes = header_bytes(schema.len());
    let mut header = Vec::with_capacity(bytes);
    header.extend_from_slice(&LOG_MAGIC);
    header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    header.extend_from_slice(&(bytes as u32).to_le_bytes());
    header.extend_from_slice(&generation.to_le_bytes());
    header.extend_from_slice(&salt.to_le_bytes());
    header.extend_from_slice(&schema);
    header.resize(bytes - 4, 0);
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header
}

/// What a log header has behind the salt.
pub(crate) fn encode_schema(schema: &Schema) -> Vec<u8> {
    let (name, fingerprint) =
        schema.model.as_ref().map_or(("", ""), |model| (&model.name, &model.fingerprint));
    let mut bytes = (schema.dimension as u32).to_le_bytes().to_vec();
    let has_model = u8::from(schema.model.is_some());
    let element = element_code(schema.element);
    let field_count = schema.fields.len() as u8;
    bytes.extend_from_slice(&[schema.metric.code(), has_model, element, field_count]);
    bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(fingerprint.len() as u32).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(fingerprint.as_bytes());
    bytes.extend(schema.fields.iter().flat_map(encode_field));
    bytes
}

fn encode_field(field: &VectorField) -> Vec<u8> {
    let mut bytes = match field.kind {
        FieldKind::Sparse => vec![FIELD_SPARSE, 0, 0, field.name.len() as u8, 0, 0, 0, 0],
        FieldKind::Dense(DenseField { dimension, metric, element }) => {
            let kind = [FIELD_DENSE, metric.code(), element_code(element), field.name.len() as u8];
            [kind, (dimension as u32).to_le_bytes()].concat()
        }
    };
    bytes.extend_from_slice(field.name.as_bytes());
    bytes
}

/// What stands before the schema, the schema and the checksum, rounded up so that frames are aligned.
fn header_bytes(schema: usize) -> usize {
    (BEFORE_SCHEMA + schema + 4).next_multiple_of(FRAME_ALIGNMENT)
}

/// Where the schema begins in a header.
const BEFORE_SCHEMA: usize = 32;

/// Bytes of a schema without a model and fields.
const SCHEMA_FIXED_BYTES: usize = LOG_HEADER_FIXED_BYTES - BEFORE_SCHEMA;

fn read_header(path: &Path, file: &File) -> Result<Header> {
    let mut fixed = [0; LOG_HEADER_FIXED_BYTES];
    read_exact_at(file, &mut fixed, 0).map_err(|error| read_error(path, 0, error))?;
    if fixed[..8] != LOG_MAGIC {
        return Err(Error::corrupt(path, 0, "this is not a collection log"));
    }
    let version = u32::from_le_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    if version > FORMAT_VERSION {
        return Err(Error::Version {
            path: path.to_owned(),
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    let bytes = u32::from_le_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]) as usize;
    let most_of_fields = MAX_FIELDS * (FIELD_FIXED_BYTES + MAX_FIELD_NAME_BYTES);
    let most = header_bytes(SCHEMA_FIXED_BYTES + 2 * MAX_MODEL_TEXT_BYTES + most_of_fields);
    if !(header_bytes(SCHEMA_FIXED_BYTES)..=most).contains(&bytes) {
        return Err(Error::corrupt(path, 12, "the header's length is impossible"));
    }
    let mut header = vec![0; bytes];
    read_exact_at(file, &mut header, 0).map_err(|error| read_error(path, 0, error))?;
    let (content, checksum) = header.split_at(bytes - 4);
    if crc32fast::hash(content).to_le_bytes() != checksum {
        return Err(Error::corrupt(path, 0, "the header's checksum does not match"));
    }
    parse_header(content)
        .filter(|header| version > 0 && header.schema.validate().is_ok())
        .ok_or_else(|| {
            Error::corrupt(path, 0, "the header's checksum matches but its content is impossible")
        })
}

/// A file that ends too early was shortened behind our back.
fn read_error(path: &Path, offset: u64, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::corrupt(path, offset, "the file ends too early"),
        _ => Error::io(path, "read")(error),
    }
}

fn parse_header(content: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(content);
    reader.take(LOG_MAGIC.len())?;
    let version = reader.u32()?;
    let bytes = reader.u32()?;
    let generation = reader.u64()?;
    let salt = reader.u64()?;
    let schema = parse_schema(&mut reader)?;
    Some(Header { version, generation, salt, bytes: u64::from(bytes), schema })
}

/// What [`encode_schema`] wrote. It may make no sense.
pub(crate) fn parse_schema(reader: &mut Reader<'_>) -> Option<Schema> {
    let dimension = reader.u32()? as usize;
    // Zero before format version 4.
    let [metric, has_model, element, field_count] = reader.array()?;
    let name_bytes = reader.u32()? as usize;
    let fingerprint_bytes = reader.u32()? as usize;
    let name = String::from_utf8(reader.take(name_bytes)?.to_vec()).ok()?;
    let fingerprint = String::from_utf8(reader.take(fingerprint_bytes)?.to_vec()).ok()?;
    let fields = (0..field_count).map(|_| parse_field(reader)).collect::<Option<_>>()?;
    Some(Schema {
        dimension,
        metric: Metric::from_code(metric)?,
        element: match element {
            // Format version 1.
            0 => ElementType::Float32,
            code => element_from_code(code)?,
        },
        model: match has_model {
            0 if name.is_empty() && fingerprint.is_empty() => None,
            1 => Some(Model { name, fingerprint }),
            _ => return None,
        },
        fields,
    })
}

fn parse_field(reader: &mut Reader<'_>) -> Option<VectorField> {
    let [kind, metric, element, name_bytes] = reader.array()?;
    let dimension = reader.u32()? as usize;
    let name = String::from_utf8(reader.take(name_bytes.into())?.to_vec()).ok()?;
    let kind = match kind {
        FIELD_DENSE => FieldKind::Dense(DenseField {
            dimension,
            metric: Metric::from_code(metric)?,
            element: element_from_code(element)?,
        }),
        FIELD_SPARSE if (metric, element, dimension) == (0, 0, 0) => FieldKind::Sparse,
        _ => return None,
    };
    Some(VectorField { name, kind })
}
