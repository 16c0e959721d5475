//! Small numbers in as few bits each as the largest of them needs.
//!
//! The numbers stand one behind the other, the low bits first, and the bytes are filled up with
//! zeros at the end: `n` numbers of `w` bits take `n * w / 8` bytes, rounded up.

/// Bits of the largest number; 0 where all are 0.
pub(crate) fn width_of(numbers: &[u32]) -> u8 {
    let all = numbers.iter().fold(0, |all, number| all | number);
    (u32::BITS - all.leading_zeros()) as u8
}

/// Bytes of so many numbers of a width.
pub(crate) fn packed_bytes(count: usize, width: u8) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

/// Appends the numbers, each of which fits into `width` bits.
pub(crate) fn pack(numbers: &[u32], width: u8, out: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0u64, 0);
    for number in numbers {
        pending |= u64::from(*number) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

/// Makes of ascending rows what is packed of them: the distance of each from the one before, less
/// one. The first one's is from `least`, the least row that it may be.
pub(crate) fn rows_to_gaps(rows: &mut [u32], least: u32) {
    let mut least = least;
    for row in rows {
        let gap = *row - least;
        least = row.saturating_add(1);
        *row = gap;
    }
}

/// The reverse; returns one more than the last row. Where that is not what it should be, the
/// numbers are not those of rows; where it is, the rows ascend.
pub(crate) fn gaps_to_rows(gaps: &mut [u32], least: u32) -> u64 {
    let mut end = u64::from(least);
    for gap in gaps {
        end += u64::from(*gap) + 1;
        // What does not fit is beyond any last row.
        *gap = (end - 1) as u32;
    }
    end
}

/// Reads as many numbers as fit into `out`. Numbers whose bytes are missing are 0; bytes behind them
/// do no harm, and where there are some the last numbers are read as fast as the others.
pub(crate) fn unpack(bytes: &[u8], width: u8, out: &mut [u32]) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                $($width => unpack_width::<$width>(bytes, out),)*
                _ => out.fill(0),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// Eight numbers of a width take `WIDTH` whole bytes, so each eight are read in the same way.
fn unpack_width<const WIDTH: usize>(bytes: &[u8], out: &mut [u32]) {
    let mut rest = bytes;
    let (eights, last) = out.as_chunks_mut::<8>();
    for numbers in eights {
        *numbers = match rest.first_chunk() {
            Some(group) => unpack_eight::<WIDTH>(group),
            None => unpack_eight::<WIDTH>(&filled_up(rest)),
        };
        rest = &rest[rest.len().min(WIDTH)..];
    }
    if !last.is_empty() {
        let numbers = unpack_eight::<WIDTH>(&filled_up(rest));
        last.copy_from_slice(&numbers[..last.len()]);
    }
}

/// The last number's eight bytes may end up to seven behind those of the group.
const GROUP_BYTES: usize = 40;

fn filled_up(bytes: &[u8]) -> [u8; GROUP_BYTES] {
    let mut group = [0; GROUP_BYTES];
    let length = bytes.len().min(GROUP_BYTES);
    group[..length].copy_from_slice(&bytes[..length]);
    group
}

#[inline(always)]
fn unpack_eight<const WIDTH: usize>(group: &[u8; GROUP_BYTES]) -> [u32; 8] {
    let mask = u64::MAX >> (64 - WIDTH);
    if WIDTH <= 8 {
        let all = u64::from_le_bytes(*group.first_chunk().expect("forty bytes hold it"));
        return std::array::from_fn(|index| (all >> (index * WIDTH) & mask) as u32);
    }
    std::array::from_fn(|index| {
        let bit = index * WIDTH;
        let bytes = group[bit / 8..].first_chunk().expect("forty bytes hold it");
        (u64::from_le_bytes(*bytes) >> (bit % 8) & mask) as u32
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            width in 0u8..=32,
            wide in prop::collection::vec(any::<u32>(), 0..300),
        ) {
            let mask = u64::MAX.checked_shr(64 - u32::from(width)).unwrap_or(0) as u32;
            let numbers: Vec<u32> = wide.iter().map(|number| number & mask).collect();
            prop_assert!(width_of(&numbers) <= width);
            let mut bytes = Vec::new();
            pack(&numbers, width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_bytes(numbers.len(), width));
            let mut read = vec![7; numbers.len()];
            unpack(&bytes, width, &mut read);
            prop_assert_eq!(read, numbers);
        }

        #[test]
        fn rows_come_back(rows in prop::collection::btree_set(any::<u32>(), 1..300)) {
            let rows: Vec<u32> = rows.into_iter().collect();
            for least in [0, rows[0] / 2, rows[0]] {
                let mut gaps = rows.clone();
                rows_to_gaps(&mut gaps, least);
                prop_assert_eq!(gaps_to_rows(&mut gaps, least), u64::from(rows[rows.len() - 1]) + 1);
                prop_assert_eq!(&gaps, &rows);
            }
        }

        #[test]
        fn any_bytes_are_read_as_numbers(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            width in any::<u8>(),
            count in 0usize..200,
        ) {
            let mut read = vec![7; count];
            unpack(&bytes, width, &mut read);
            prop_assert!(width > 32 || read.iter().all(|number| u64::from(*number) >> width == 0));
        }
    }
}
