//! Every constant of the on-disk format, in one place.
//!
//! `docs/file-format.md` describes the same numbers in words and tables, and a test compares the
//! two. All integers on disk are little-endian.

/// First bytes of the file `FORMAT`.
pub const DATABASE_MAGIC: [u8; 8] = *b"RACDB\r\n\x1a";

/// First bytes of every collection log.
pub const LOG_MAGIC: [u8; 8] = *b"RACLOG\r\n";

/// First bytes of every segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"RACSEG\r\n";

/// First bytes of every manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"RACMAN\r\n";

/// The format this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 5;

/// Size of the file `FORMAT`: magic, version, checksum.
pub const FORMAT_FILE_BYTES: usize = 16;

/// Size of a log header before the model's name and fingerprint.
pub const LOG_HEADER_FIXED_BYTES: usize = 48;

/// Longest text, id, metadata as JSON text or name of a source, in bytes of UTF-8: their lengths
/// have 32 bits.
pub const MAX_TEXT_BYTES: u64 = u32::MAX as u64;

/// Longest model name, and longest model fingerprint, in bytes of UTF-8.
pub const MAX_MODEL_TEXT_BYTES: usize = 4096;

/// Most fields of a collection.
pub const MAX_FIELDS: usize = 16;

/// Longest name of a field, in bytes.
pub const MAX_FIELD_NAME_BYTES: usize = 64;

/// Size of a field in a log header, before its name.
pub const FIELD_FIXED_BYTES: usize = 8;

/// Field kind: vectors of one length.
pub const FIELD_DENSE: u8 = 1;

/// Field kind: sparse vectors.
pub const FIELD_SPARSE: u8 = 2;

/// Size of a manifest before its segments and documents.
pub const MANIFEST_FIXED_BYTES: usize = 56;

/// Size of the checksum at the end of a manifest.
pub const MANIFEST_CHECKSUM_BYTES: usize = 4;

/// Size of a frame header.
pub const FRAME_HEADER_BYTES: usize = 40;

/// Frames start at multiples of this offset; the gap is filled with zeros.
pub const FRAME_ALIGNMENT: usize = 8;

/// Frame kind: one atomic transaction.
pub const FRAME_TRANSACTION: u32 = 1;

/// Frame kind: an empty frame that says "everything before me is on the medium". Written when a
/// database is closed and when the next log is begun.
pub const FRAME_SEAL: u32 = 2;

/// Size of the four counts with which a transaction payload starts.
pub const TRANSACTION_COUNTS_BYTES: usize = 16;

/// Id tag: a signed 64-bit integer.
pub const ID_INTEGER: u8 = 0;

/// Id tag: UTF-8 text.
pub const ID_TEXT: u8 = 1;

/// Record flag: a text follows.
pub const RECORD_HAS_TEXT: u8 = 1;

/// Record flag: metadata follow, as JSON text.
pub const RECORD_HAS_METADATA: u8 = 2;

/// Record flag: a place follows.
pub const RECORD_HAS_PLACE: u8 = 4;

/// Record flag: vectors in fields follow.
pub const RECORD_HAS_VECTORS: u8 = 8;

/// Document tag: the entry is removed.
pub const DOCUMENT_REMOVED: u8 = 0;

/// Document tag: the entry is set.
pub const DOCUMENT_SET: u8 = 1;

/// Size of a document's content fingerprint.
pub const DOCUMENT_FINGERPRINT_BYTES: usize = 32;

/// Metric code: cosine similarity.
pub const METRIC_COSINE: u8 = 1;

/// Metric code: dot product.
pub const METRIC_DOT: u8 = 2;

/// Metric code: squared Euclidean distance.
pub const METRIC_L2: u8 = 3;

/// Metric code: Hamming distance.
pub const METRIC_HAMMING: u8 = 4;

/// Element code: IEEE 754 binary32. Logs of format version 1, which knew no other, have a 0 here.
pub const ELEMENT_FLOAT32: u8 = 1;

/// Element code: IEEE 754 binary16.
pub const ELEMENT_FLOAT16: u8 = 2;

/// Element code: the upper half of a binary32.
pub const ELEMENT_BFLOAT16: u8 = 3;

/// Element code: a signed byte times a scale of its vector.
pub const ELEMENT_INT8: u8 = 4;

/// Element code: a byte of eight packed bits.
pub const ELEMENT_BITS: u8 = 5;

/// Largest dimension of a collection, in numbers; of packed bits, in bytes.
pub const MAX_DIMENSION: usize = 65_536;

/// Deepest nesting of metadata. The JSON reader gives up at 128, so what is written must stay
/// below that or it could never be read again.
pub const MAX_METADATA_DEPTH: usize = 100;

/// Most rows that are merged into one segment, and most records of a transaction: a collection of
/// more has several segments. Row numbers have 32 bits and are counted with in places; those of a
/// graph have 30.
pub const MAX_SEGMENT_ROWS: u32 = 1 << 30;

/// A segment is read and checked in blocks of this size, and its sections start at multiples of
/// it. The first block is the header.
pub const SEGMENT_BLOCK_BYTES: usize = 4096;

/// Size of a segment's header before its table of sections.
pub const SEGMENT_HEADER_FIXED_BYTES: usize = 56;

/// Size of an entry in the table of sections.
pub const SEGMENT_SECTION_ENTRY_BYTES: usize = 24;

/// Section: the vectors, row by row.
pub const SECTION_VECTORS: u32 = 1;

/// Section: one over each vector's length, for cosine.
pub const SECTION_INVERSE_NORMS: u32 = 2;

/// Section: the records, row by row.
pub const SECTION_RECORDS: u32 = 3;

/// Section: where each record starts.
pub const SECTION_RECORD_OFFSETS: u32 = 4;

/// Section: a hash table from ids to rows.
pub const SECTION_ID_TABLE: u32 = 5;

/// Section: the names of the sources that places speak of.
pub const SECTION_SOURCES: u32 = 6;

/// Section: a checksum for every block between the header and this section.
pub const SECTION_CHECKSUMS: u32 = 7;

/// Section: a graph, whose nodes hold the vectors.
pub const SECTION_GRAPH: u32 = 8;

/// Section: an index of what filters ask for.
pub const SECTION_METADATA_INDEX: u32 = 9;

/// The row of a slot of the id table that holds none.
pub const ID_TABLE_EMPTY: u32 = u32::MAX;

/// Longest collection name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// First bytes of a metadata index.
pub const METADATA_INDEX_MAGIC: [u8; 8] = *b"RACMETA\n";

/// The version of metadata indexes that this build writes, and the newest that it reads.
pub const METADATA_INDEX_VERSION: u32 = 1;

/// Size of a metadata index's header, before the checksums of its pages.
pub const METADATA_INDEX_HEADER_BYTES: usize = 48;

/// The bodies of metadata indexes, text indexes and sparse indexes have a checksum for each so many bytes.
pub const CHECKED_PAGE_BYTES: usize = 16 << 10;

/// Most rows of a metadata index.
pub const MAX_INDEXED_ROWS: u32 = 1 << 31;

/// Most keys of a metadata index: those that most rows have.
pub const MAX_INDEXED_KEYS: usize = 1 << 16;

/// Longest key that is indexed, in bytes, with the keys of the objects around it and their dots.
pub const MAX_INDEXED_KEY_BYTES: usize = 256;

/// Longest string that is indexed as it is, in bytes.
pub const MAX_INDEXED_STRING_BYTES: usize = 128;

/// Bytes that are kept of a longer string.
pub const LONG_STRING_PREFIX_BYTES: usize = 32;

/// Longest array whose elements are indexed.
pub const MAX_INDEXED_ELEMENTS: usize = 128;

/// Rows reference: a list of rows, the number is its offset.
pub const POSTINGS_AT: u8 = 0;

/// Rows reference: one row, the number is it.
pub const POSTINGS_ONE: u8 = 1;

/// Rows reference: no rows.
pub const POSTINGS_NONE: u8 = 2;

/// Size of the two numbers in front of a list of rows.
pub const POSTINGS_HEADER_BYTES: usize = 8;

/// A dictionary says for each so many values how many rows come before.
pub const DICTIONARY_GROUP: u64 = 64;

/// Number tag: a signed 64-bit integer.
pub const NUMBER_SIGNED: u8 = 0;

/// Number tag: an unsigned 64-bit integer that is too large for a signed one.
pub const NUMBER_UNSIGNED: u8 = 1;

/// Number tag: a 64-bit float that is neither of these integers.
pub const NUMBER_FLOAT: u8 = 2;

/// Size of a key's record, before its name and its parts.
pub const KEY_RECORD_FIXED_BYTES: usize = 3;

/// Size of a part in a key's record.
pub const PART_BYTES: usize = 17;

/// Kinds of parts are below this.
pub const PART_KINDS: usize = 32;

/// Part: the rows that have the key.
pub const PART_PRESENT: u8 = 1;

/// Part: the rows with null.
pub const PART_NULLS: u8 = 2;

/// Part: the rows with false.
pub const PART_FALSES: u8 = 3;

/// Part: the rows with true.
pub const PART_TRUES: u8 = 4;

/// Part: the dictionary of numbers.
pub const PART_NUMBERS: u8 = 5;

/// Part: the dictionary of strings.
pub const PART_STRINGS: u8 = 6;

/// Part: the dictionary of strings that are too long to be indexed as they are.
pub const PART_LONG_STRINGS: u8 = 7;

/// Part: the rows with an array.
pub const PART_ARRAYS: u8 = 8;

/// Part: the rows with an object.
pub const PART_OBJECTS: u8 = 9;

/// Part: the dictionary of checksums of arrays and objects.
pub const PART_CHECKSUMS: u8 = 10;

/// Part: the rows with an array that has too many elements to be indexed.
pub const PART_LONG_ARRAYS: u8 = 11;

/// Part: the rows with an array that is not too long and has arrays or objects in it.
pub const PART_NESTED_ARRAYS: u8 = 12;

/// Parts 2 to 7, shifted by this, are about the elements of arrays instead of values.
pub const PART_ELEMENTS: u8 = 16;

/// First bytes of every text index.
pub const TEXT_INDEX_MAGIC: [u8; 8] = *b"RACTXT\r\n";

/// The version of text indexes that this build writes and reads. Any other is made anew.
pub const TEXT_INDEX_VERSION: u32 = 1;

/// Stands for how texts are cut into terms: another one makes other terms of some text, and an
/// index of them is made anew.
pub const ANALYSIS_VERSION: u32 = 1;

/// Size of the header of an index in a file of its own: a text index or a sparse index.
pub const INDEX_FILE_HEADER_BYTES: usize = 512;

/// Longest name of a metadata key whose values are indexed by words, in bytes.
pub const MAX_TEXT_FIELD_BYTES: usize = 256;

/// Longest term, in bytes: longer ones are cut off.
pub const MAX_TERM_BYTES: usize = 128;

/// Terms in a group of a text index: the last group may have fewer.
pub const TERMS_A_GROUP: u64 = 16;

/// A term in at most so many rows has its postings in its record.
pub const MAX_INLINE_POSTINGS: u32 = 8;

/// Postings in a block of a text index or a sparse index: the last block of a list may have fewer.
pub const POSTINGS_A_BLOCK: usize = 128;

/// Size of what is known of a block of postings.
pub const POSTINGS_BLOCK_ENTRY_BYTES: usize = 12;

/// Stands for the words of a row that has no text.
pub const NO_TEXT: u32 = u32::MAX;

/// Most numbers of a sparse vector.
pub const MAX_SPARSE_NUMBERS: usize = 65_536;

/// First bytes of every sparse index.
pub const SPARSE_INDEX_MAGIC: [u8; 8] = *b"RACSPV\r\n";

/// The version of sparse indexes that this build writes and reads. Any other is made anew.
pub const SPARSE_INDEX_VERSION: u32 = 1;

/// Longest name of what a sparse index is of, in bytes.
pub const MAX_SPARSE_INDEX_NAME_BYTES: usize = 256;

/// Size of a list in the directory of a sparse index.
pub const SPARSE_LIST_BYTES: usize = 32;

/// Size of what is known of a block of a sparse index.
pub const SPARSE_BLOCK_ENTRY_BYTES: usize = 16;

/// Digits of the generation in a log's file name, padded with zeros; more where needed.
pub const GENERATION_DIGITS: usize = 6;

/// The file that marks a directory as a database.
pub const FORMAT_FILE: &str = "FORMAT";

/// The file that the writing process holds locked.
pub const LOCK_FILE: &str = "LOCK";

/// The folder that holds one folder a collection.
pub const COLLECTIONS_FOLDER: &str = "collections";

/// The file that says which logs and segments a collection consists of.
pub const MANIFEST_FILE: &str = "MANIFEST";

/// A second copy of it, for when a byte of the first one is damaged.
pub const MANIFEST_COPY_FILE: &str = "MANIFEST.copy";

/// How the name of a damaged file ends that was kept when its collection was made sound; a number
/// follows where there are several.
pub const DAMAGED_SUFFIX: &str = ".damaged";

/// How a log's file name ends.
pub const LOG_SUFFIX: &str = ".log";

/// How a segment's file name ends.
pub const SEGMENT_SUFFIX: &str = ".seg";

/// How a text index's file name ends.
pub const TEXT_INDEX_SUFFIX: &str = ".words";

/// First bytes of every index of a dense field.
pub const DENSE_INDEX_MAGIC: [u8; 8] = *b"RACVEC\r\n";

/// The version of indexes of dense fields that this build writes and reads. Any other is made anew.
pub const DENSE_INDEX_VERSION: u32 = 1;

/// Form of such an index: the vectors stand one behind the other.
pub const DENSE_INDEX_FLAT: u8 = 0;

/// Form of such an index: the vectors are in a graph.
pub const DENSE_INDEX_GRAPH: u8 = 1;

/// How the file name of a dense field's index ends.
pub const DENSE_INDEX_SUFFIX: &str = ".vectors";

/// How the file name of a sparse field's index ends.
pub const SPARSE_INDEX_SUFFIX: &str = ".sparse";

/// How the name of a file that is still being written ends.
pub const UNFINISHED_SUFFIX: &str = ".tmp";

/// How the name of a collection folder that is being created starts.
pub const NEW_PREFIX: &str = ".new-";

/// How the name of a collection folder that is being deleted starts.
pub const DROPPED_PREFIX: &str = ".dropped-";
