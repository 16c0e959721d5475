//! Byte offsets to offsets in characters, which is how Python counts.

/// Converts the byte offsets of a text's tokens in place. All are on character boundaries; they may
/// be in any order, but cost their distance from one to the next.
pub(super) fn to_characters(text: &str, offsets: &mut [(u32, u32)]) {
    if text.is_ascii() {
        return;
    }
    let mut place = Place { bytes: text.as_bytes(), byte: 0, character: 0 };
    for (start, end) in offsets {
        *start = place.character_at(*start as usize);
        *end = place.character_at(*end as usize);
    }
}

struct Place<'a> {
    bytes: &'a [u8],
    byte: usize,
    character: usize,
}

impl Place<'_> {
    fn character_at(&mut self, byte: usize) -> u32 {
        if byte >= self.byte {
            self.character += characters(&self.bytes[self.byte..byte]);
        } else {
            self.character -= characters(&self.bytes[byte..self.byte]);
        }
        self.byte = byte;
        self.character as u32
    }
}

/// Characters that begin in these bytes.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte as i8 >= -64).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_counting_from_the_beginning() {
        let text = "añ漢😀b";
        let bounds: Vec<u32> =
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).map(|at| at as u32).collect();
        let pairs = bounds.iter().flat_map(|&a| bounds.iter().map(move |&b| (a, b)));
        let mut offsets: Vec<_> = pairs.collect();
        let expected: Vec<_> = offsets
            .iter()
            .map(|&(a, b)| {
                let count = |end: u32| text[..end as usize].chars().count() as u32;
                (count(a), count(b))
            })
            .collect();
        to_characters(text, &mut offsets);
        assert_eq!(offsets, expected);
    }
}
