//! ASCII text, 64 bytes at a time: which bytes end words, and the text in lower case. Eight bytes
//! share a 64-bit word, and their tests the same few instructions.

/// Bytes that are looked at together: a bit each in a mask.
pub(super) const BLOCK: usize = 64;

/// Classes of the bytes of a block, the first in the lowest bit. What is in none of them is an ASCII
/// letter or digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// Space, tab, line feed, carriage return.
    pub(super) separators: u64,
    /// ASCII punctuation and symbols.
    pub(super) punctuation: u64,
    /// Other control characters, and all that is not ASCII.
    pub(super) irregular: u64,
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Classifies a block and lowers its ASCII letters in place.
pub(super) fn classify_and_lower(block: &mut [u8; BLOCK]) -> Block {
    let mut classes = Block::default();
    for (index, eight) in block.chunks_exact_mut(8).enumerate() {
        let bytes = u64::from_le_bytes(eight.try_into().expect("chunks of eight"));
        let beyond_ascii = bytes & HIGH;
        let ascii = bytes & !HIGH;
        let upper = between(ascii, b'A', b'Z') & !beyond_ascii;
        let lowered = bytes | upper >> 2;
        eight.copy_from_slice(&lowered.to_le_bytes());

        let letters = between(lowered & !HIGH, b'a', b'z');
        let digits = between(ascii, b'0', b'9');
        let white = at_least(ascii, b'\t') & !at_least(ascii, b'\n' + 1)
            | between(ascii, b'\r', b'\r')
            | between(ascii, b' ', b' ');
        let printable = between(ascii, b'!', b'~');
        let regular = !beyond_ascii & HIGH;
        let shift = 8 * index;
        classes.separators |= bits(white & regular) << shift;
        classes.punctuation |= bits(printable & !(letters | digits) & regular) << shift;
        classes.irregular |= bits(!(printable | white) & HIGH | beyond_ascii) << shift;
    }
    classes
}

/// Sets the high bit of each byte that is `least` or more; the bytes are below 128.
fn at_least(bytes: u64, least: u8) -> u64 {
    (bytes + LOW * u64::from(128 - least)) & HIGH
}

fn between(bytes: u64, first: u8, last: u8) -> u64 {
    at_least(bytes, first) & !at_least(bytes, last + 1)
}

/// The high bits of the eight bytes, side by side: the product's top byte collects each once.
fn bits(high: u64) -> u64 {
    (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place() {
        for byte in 0..=255u8 {
            for place in 0..BLOCK {
                for filler in [b'x', b' ', 0xff, 0] {
                    let mut block = [filler; BLOCK];
                    block[place] = byte;
                    let classes = classify_and_lower(&mut block);
                    let bit = |mask: u64| mask >> place & 1 == 1;
                    assert_eq!(block[place], byte.to_ascii_lowercase());
                    assert_eq!(bit(classes.separators), b" \t\r\n".contains(&byte));
                    assert_eq!(bit(classes.punctuation), byte.is_ascii_punctuation());
                    let irregular = !byte.is_ascii_alphanumeric()
                        && !byte.is_ascii_punctuation()
                        && !b" \t\r\n".contains(&byte);
                    assert_eq!(bit(classes.irregular), irregular, "{byte}");
                    let others = !(1u64 << place);
                    let all = |class: bool| if class { others } else { 0 };
                    assert_eq!(classes.separators & others, all(filler == b' '));
                    assert_eq!(classes.irregular & others, all(filler == 0xff || filler == 0));
                    assert_eq!(classes.punctuation & others, 0);
                }
            }
        }
    }
}
