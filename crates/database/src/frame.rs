//! Frames: the unit of a log. One frame is one atomic transaction, or a seal.
//!
//! Header and payload have a checksum each. The header's also covers the log's salt and the
//! frame's own offset, so a header that checks out was written here, by this log: that is what
//! lets a scan for frames after a damaged one look at headers alone and stay linear.

use crate::bytes::Reader;
use crate::format::{FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAME_SEAL, FRAME_TRANSACTION};

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Checksum of the payload and its padding.
    pub(crate) payload_checksum: u32,
    /// Bytes of payload, without padding.
    pub(crate) length: u64,
    /// 1 for a log's first frame, one more for each that follows.
    pub(crate) sequence: u64,
    /// Every byte of the log before this offset was on the medium when the frame was written.
    pub(crate) synced: u64,
    /// `FRAME_TRANSACTION` or `FRAME_SEAL`.
    pub(crate) kind: u32,
}

impl FrameHeader {
    pub(crate) fn encode(&self, salt: u64, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.kind.to_le_bytes());
        let checksum = header_checksum(salt, offset, &bytes);
        bytes[0..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` for bytes that are not a header written at `offset` of the log with this salt.
    ///
    /// The cheap tests come before the checksum: a scan calls this for every eighth byte.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_BYTES], salt: u64, offset: u64) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let checksum = reader.u32()?;
        let header = Self {
            payload_checksum: reader.u32()?,
            length: reader.u64()?,
            sequence: reader.u64()?,
            synced: reader.u64()?,
            kind: reader.u32()?,
        };
        let plausible = matches!(header.kind, FRAME_TRANSACTION | FRAME_SEAL)
            && reader.u32()? == 0
            && header.synced <= offset;
        (plausible && checksum == header_checksum(salt, offset, bytes)).then_some(header)
    }

    /// Bytes from this frame's start to the next one's; `None` where no file can be that long.
    pub(crate) fn frame_bytes(&self) -> Option<u64> {
        self.length
            .checked_next_multiple_of(FRAME_ALIGNMENT as u64)?
            .checked_add(FRAME_HEADER_BYTES as u64)
    }
}

fn header_checksum(salt: u64, offset: u64, header: &[u8; FRAME_HEADER_BYTES]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&header[4..]);
    hasher.finalize()
}

/// The polynomial of CRC-32, its bits in reverse.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a checksum was so many zero bytes ago.
fn before_zeros(mut checksum: u32, bytes: usize) -> u32 {
    for _ in 0..bytes * 8 {
        checksum = match checksum >> 31 {
            0 => checksum << 1,
            _ => ((checksum ^ POLYNOMIAL) << 1) | 1,
        };
    }
    checksum
}

/// A salt with which these bytes are a header at this offset. If they are one, headers elsewhere in the
/// same log are valid with it too: a checksum has 32 bits of what it knows of the log's own salt, and
/// that is all that matters of it.
pub(crate) fn fitting_salt(header: &[u8; FRAME_HEADER_BYTES], offset: u64) -> u64 {
    let mut rest = crc32fast::Hasher::new();
    rest.update(&offset.to_le_bytes());
    rest.update(&header[4..]);
    let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    // crc(salt, rest) is crc(salt) moved over as many zeros as the rest is long, and crc(rest).
    let of_salt = before_zeros(stored ^ rest.finalize(), 8 + FRAME_HEADER_BYTES - 4);
    // Of eight bytes, the last four zero, the checksum is !moved(first ^ !0), moved over all eight.
    u64::from(!before_zeros(!of_salt, 8))
}

/// A frame that is complete but for its header, which needs the place where it will stand.
///
/// What stands in the middle of a long payload is not copied here: it is written by itself.
pub(crate) struct PreparedFrame {
    /// The header and what is in front of the middle.
    front: Vec<u8>,
    middle_bytes: usize,
    /// What is behind it, with the padding.
    rest: Vec<u8>,
    kind: u32,
    length: u64,
    payload_checksum: u32,
}

impl PreparedFrame {
    /// Takes the payload behind `FRAME_HEADER_BYTES` bytes of room for the header.
    pub(crate) fn new(kind: u32, mut bytes: Vec<u8>) -> Self {
        let length = (bytes.len() - FRAME_HEADER_BYTES) as u64;
        bytes.resize(bytes.len().next_multiple_of(FRAME_ALIGNMENT), 0);
        let payload_checksum = crc32fast::hash(&bytes[FRAME_HEADER_BYTES..]);
        Self { front: bytes, middle_bytes: 0, rest: Vec::new(), kind, length, payload_checksum }
    }

    /// The same of a payload in three parts, the first one behind the room for the header.
    pub(crate) fn around(kind: u32, front: Vec<u8>, middle: &[u8], mut rest: Vec<u8>) -> Self {
        let bytes = front.len() + middle.len() + rest.len();
        rest.resize(rest.len() + bytes.next_multiple_of(FRAME_ALIGNMENT) - bytes, 0);
        let mut checksum = crc32fast::Hasher::new();
        for part in [&front[FRAME_HEADER_BYTES..], middle, &rest] {
            checksum.update(part);
        }
        let payload_checksum = checksum.finalize();
        let length = (bytes - FRAME_HEADER_BYTES) as u64;
        Self { front, middle_bytes: middle.len(), rest, kind, length, payload_checksum }
    }

    pub(crate) fn seal() -> Self {
        Self::new(FRAME_SEAL, vec![0; FRAME_HEADER_BYTES])
    }

    /// Bytes of payload, without padding.
    #[cfg(test)]
    pub(crate) fn payload_bytes(&self) -> usize {
        self.length as usize
    }

    /// Bytes from the frame's start to the next one's.
    pub(crate) fn bytes(&self) -> u64 {
        (self.front.len() + self.middle_bytes + self.rest.len()) as u64
    }

    /// What stands in front of the middle and behind it, for `offset` of the log with this salt.
    pub(crate) fn finish(
        &mut self,
        salt: u64,
        offset: u64,
        sequence: u64,
        synced: u64,
    ) -> (&[u8], &[u8]) {
        let header = FrameHeader {
            payload_checksum: self.payload_checksum,
            length: self.length,
            sequence,
            synced,
            kind: self.kind,
        };
        self.front[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode(salt, offset));
        (&self.front, &self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_only_where_it_was_written() {
        let header = FrameHeader {
            payload_checksum: 7,
            length: 41,
            sequence: 3,
            synced: 64,
            kind: FRAME_TRANSACTION,
        };
        let bytes = header.encode(11, 128);
        assert_eq!(FrameHeader::decode(&bytes, 11, 128), Some(header));
        assert_eq!(header.frame_bytes(), Some(40 + 48));
        assert_eq!(FrameHeader::decode(&bytes, 11, 136), None, "another offset");
        assert_eq!(FrameHeader::decode(&bytes, 12, 128), None, "another log");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped, 11, 128), None, "bit {bit}");
        }
    }

    #[test]
    fn a_header_tells_a_salt_for_all_headers_of_its_log() {
        for salt in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let header = |sequence, offset| {
                let header = FrameHeader {
                    payload_checksum: 77,
                    length: 41,
                    sequence,
                    synced: 56,
                    kind: FRAME_TRANSACTION,
                };
                (header, header.encode(salt, offset))
            };
            let fitting = fitting_salt(&header(1, 56).1, 56);
            for (sequence, offset) in [(1, 56), (2, 144), (9, 1 << 40)] {
                let (header, bytes) = header(sequence, offset);
                assert_eq!(FrameHeader::decode(&bytes, fitting, offset), Some(header));
                assert_eq!(FrameHeader::decode(&bytes, fitting, offset + 8), None);
                assert_eq!(FrameHeader::decode(&bytes, fitting + 1, offset), None);
            }
        }
    }

    #[test]
    fn an_impossible_length_is_no_length() {
        let header = FrameHeader {
            payload_checksum: 0,
            length: u64::MAX - 3,
            sequence: 1,
            synced: 0,
            kind: FRAME_TRANSACTION,
        };
        assert_eq!(header.frame_bytes(), None);
    }
}
