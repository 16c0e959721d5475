//! From a byte of a document's text to the line of the file that it came from.

/// Distance between checkpoints: a look-up counts the newlines of at most this many bytes.
const CHECKPOINT_BYTES: usize = 512;

/// Line numbers of a text that was taken, whole or in pieces, from a file.
///
/// Between two anchors every `\n` of the text is a line end of the file; where that is not so
/// (extracted text), another anchor stands. Memory: 8 bytes an anchor.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineMap {
    /// (byte of the text, 1-based line of the file), both ascending in bytes.
    anchors: Vec<(u32, u32)>,
    /// The line that text appended now would be on if nothing was left out.
    next_line: u32,
}

impl LineMap {
    /// The map of a text that *is* the file.
    pub(crate) fn of_source(text: &str) -> LineMap {
        let mut map = LineMap::default();
        map.append(0, text, 1);
        map
    }

    /// Records that `piece` now stands at byte `offset` of the text, began on `line` of the file,
    /// and that its newlines are the file's. Offsets ascend from call to call and fit in 32 bits.
    pub(crate) fn append(&mut self, offset: usize, piece: &str, line: u32) {
        if line != self.next_line {
            self.anchors.push((offset as u32, line));
        }
        let mut offset = offset;
        let mut line = line;
        for part in piece.as_bytes().chunks(CHECKPOINT_BYTES) {
            let anchor = self.anchors.last().map_or(0, |anchor| anchor.0 as usize);
            if offset >= anchor + CHECKPOINT_BYTES {
                self.anchors.push((offset as u32, line));
            }
            line += newlines(part);
            offset += part.len();
        }
        self.next_line = line;
    }

    /// The line that text appended now would be on if nothing was left out.
    pub(crate) fn next_line(&self) -> u32 {
        self.next_line
    }

    /// The 1-based line of the file that byte `byte` of `text` is on.
    pub(crate) fn line_of(&self, text: &str, byte: usize) -> u32 {
        let following = self.anchors.partition_point(|anchor| anchor.0 as usize <= byte);
        let Some((offset, line)) = following.checked_sub(1).map(|index| self.anchors[index]) else {
            return 1;
        };
        let end = byte.min(text.len());
        line + newlines(&text.as_bytes()[offset as usize..end])
    }
}

/// Counts the line feeds.
pub(crate) fn newlines(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn source_lines_are_newlines_before_plus_one(text in "[a\n]{0,1500}", cut in 0usize..1500) {
            let map = LineMap::of_source(&text);
            let byte = cut.min(text.len());
            prop_assert_eq!(map.line_of(&text, byte), newlines(&text.as_bytes()[..byte]) + 1);
        }
    }

    #[test]
    fn pieces_keep_the_line_they_were_taken_from() {
        let pieces = [("one\ntwo\n", 1), ("far\nfarther", 40), ("same line", 41), ("back", 7)];
        let mut text = String::new();
        let mut map = LineMap::default();
        let mut expected = Vec::new();
        for (piece, line) in pieces {
            map.append(text.len(), piece, line);
            expected.push((text.len(), line));
            text.push_str(piece);
        }
        for (byte, line) in expected {
            assert_eq!(map.line_of(&text, byte), line);
        }
        assert_eq!(map.line_of(&text, text.find("farther").unwrap()), 41);
    }

    #[test]
    fn anchors_stay_few_on_a_file_of_newlines() {
        let text = "\n".repeat(1 << 20);
        assert!(LineMap::of_source(&text).anchors.len() <= (1 << 20) / CHECKPOINT_BYTES + 1);
    }
}
