//! Making checksums right, so that the fuzzer gets past them; see docs/file-format.md.

use database::format::{
    CHECKED_PAGE_BYTES, INDEX_FILE_HEADER_BYTES, METADATA_INDEX_HEADER_BYTES, SEGMENT_BLOCK_BYTES,
};
use database::graph::layout::{GRAPH_HEADER_BYTES, PAGE_BYTES};

const BLOCK: usize = SEGMENT_BLOCK_BYTES;

/// The header of a frame.
const LOG_FRAME_BYTES: usize = 40;

/// Blocks without the zeros at their ends, each behind its length: what a fuzzer can change.
pub fn pack(file: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for block in file.chunks(BLOCK) {
        let length = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        packed.extend_from_slice(&(length as u16).to_le_bytes());
        packed.extend_from_slice(&block[..length]);
    }
    packed
}

/// The file that [`pack`] made small. Whatever the bytes are, they are one.
pub fn unpack(mut packed: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(BLOCK).min(rest.len());
        let (block, rest) = rest.split_at(length);
        file.extend_from_slice(block);
        file.resize(file.len().next_multiple_of(BLOCK), 0);
        packed = rest;
    }
    file
}

fn put(bytes: &mut [u8], at: usize, checksum: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("8")))
}

/// The last four bytes become the checksum of those before them.
pub fn seal_end(bytes: &mut [u8]) {
    if let Some(end) = bytes.len().checked_sub(4) {
        put(bytes, end, crc32fast::hash(&bytes[..end]));
    }
}

/// The header's checksum, those of all blocks, and those of the blocks that hold these.
pub fn seal_segment(bytes: &mut [u8]) {
    if bytes.len() < BLOCK {
        return;
    }
    let salted = crc32fast::hash(&bytes[24..32]);
    let checksum = |parts: &[&[u8]]| {
        let mut hasher = crc32fast::Hasher::new_with_initial(salted);
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize()
    };
    let sections = (number(bytes, 12) as u32 as usize).clamp(1, 160);
    let last = 56 + (sections - 1) * 24;
    let start = number(bytes, last + 8) as usize;
    if start.is_multiple_of(BLOCK) && (BLOCK..=bytes.len()).contains(&start) {
        let (blocks, sums) = bytes.split_at_mut(start);
        for (block, content) in blocks[BLOCK..].chunks(BLOCK).enumerate() {
            let place = block / (BLOCK / 4 - 1) * BLOCK + block % (BLOCK / 4 - 1) * 4;
            put(sums, place, checksum(&[content]));
        }
        for (block, content) in sums.chunks_exact_mut(BLOCK).enumerate() {
            let offset = (start + block * BLOCK) as u64;
            let own = checksum(&[&offset.to_le_bytes(), &content[..BLOCK - 4]]);
            put(content, BLOCK - 4, own);
        }
    }
    put(bytes, BLOCK - 4, crc32fast::hash(&bytes[..BLOCK - 4]));
}

/// The header's checksum and that of the entry section, which ends where the header leads to.
pub fn seal_graph(bytes: &mut [u8], records_offset: usize) {
    if let Some(entries) = bytes.get(PAGE_BYTES..records_offset) {
        put(bytes, 44, crc32fast::hash(entries));
    }
    if let Some(header) = bytes.get(..GRAPH_HEADER_BYTES - 4) {
        put(bytes, GRAPH_HEADER_BYTES - 4, crc32fast::hash(header));
    }
}

/// The checksums of the pages, as many as the header says, and the header's.
pub fn seal_metadata_index(bytes: &mut [u8]) {
    let header = METADATA_INDEX_HEADER_BYTES;
    let pages = (number(bytes, 16) as usize).div_ceil(CHECKED_PAGE_BYTES);
    let Some(body) = pages.checked_mul(4).and_then(|table| table.checked_add(header)) else {
        return;
    };
    if bytes.len() < body {
        return;
    }
    let (front, body) = bytes.split_at_mut(body);
    for (page, content) in body.chunks(CHECKED_PAGE_BYTES).enumerate().take(pages) {
        put(front, header + page * 4, crc32fast::hash(content));
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&front[..header - 4]);
    hasher.update(&front[header..]);
    put(front, header - 4, hasher.finalize());
}

/// Where a kind of index in a file of its own has what gives a change away.
#[derive(Clone, Copy)]
pub struct IndexLayout {
    /// How the names of such files end.
    pub ending: &'static str,
    /// What says of which segment it is, in its header.
    pub identity: (usize, usize),
    /// The length of its body, in its header.
    pub body_bytes: usize,
    /// The checksum of the pages' checksums, in its header.
    pub table_checksum: usize,
}

pub const TEXT_INDEX: IndexLayout =
    IndexLayout { ending: ".words", identity: (16, 32), body_bytes: 32, table_checksum: 84 };
pub const SPARSE_INDEX: IndexLayout =
    IndexLayout { ending: ".sparse", identity: (12, 32), body_bytes: 32, table_checksum: 72 };
pub const DENSE_INDEX: IndexLayout =
    IndexLayout { ending: ".vectors", identity: (12, 32), body_bytes: 56, table_checksum: 44 };

/// The length of the body, the checksums of its pages, theirs, and the header's.
pub fn seal_index(bytes: &mut Vec<u8>, layout: IndexLayout) {
    let header = INDEX_FILE_HEADER_BYTES;
    let Some(rest) = bytes.len().checked_sub(header) else {
        return;
    };
    // Each page is followed by four bytes, all of them at the end.
    let pages = rest.div_ceil(CHECKED_PAGE_BYTES + 4);
    let body = rest.saturating_sub(pages * 4);
    bytes.truncate(header + body);
    let table: Vec<u8> = bytes[header..]
        .chunks(CHECKED_PAGE_BYTES)
        .flat_map(|page| crc32fast::hash(page).to_le_bytes())
        .collect();
    bytes[layout.body_bytes..][..8].copy_from_slice(&(body as u64).to_le_bytes());
    put(bytes, layout.table_checksum, crc32fast::hash(&table));
    let own = crc32fast::hash(&bytes[..header - 4]);
    put(bytes, header - 4, own);
    bytes.extend_from_slice(&table);
}

/// The header's checksum, and those of the frames as far as their lengths lead.
pub fn seal_log(bytes: &mut [u8]) {
    let header = number(bytes, 12) as u32 as usize;
    if !(48..=bytes.len()).contains(&header) {
        return;
    }
    put(bytes, header - 4, crc32fast::hash(&bytes[..header - 4]));
    let salt = number(bytes, 24);
    let mut start = header;
    while start + LOG_FRAME_BYTES <= bytes.len() {
        let payload = number(bytes, start + 8) as usize;
        let end = payload.checked_next_multiple_of(8).and_then(|payload| {
            payload.checked_add(start + LOG_FRAME_BYTES).filter(|end| *end <= bytes.len())
        });
        let Some(end) = end else {
            return;
        };
        put(bytes, start + 4, crc32fast::hash(&bytes[start + LOG_FRAME_BYTES..end]));
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&salt.to_le_bytes());
        hasher.update(&(start as u64).to_le_bytes());
        hasher.update(&bytes[start + 4..start + LOG_FRAME_BYTES]);
        put(bytes, start, hasher.finalize());
        start = end;
    }
}
