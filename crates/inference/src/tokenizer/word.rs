//! A word that is made from characters, which remembers where they came from.

#[derive(Default)]
pub(super) struct Word {
    bytes: Vec<u8>,
    /// For each byte, the bytes of the text that its character came from.
    sources: Vec<(usize, usize)>,
    characters: usize,
}

impl Word {
    #[inline]
    pub(super) fn push(&mut self, letter: char, source: (usize, usize)) {
        let mut buffer = [0; 4];
        let bytes = letter.encode_utf8(&mut buffer).as_bytes();
        self.bytes.extend_from_slice(bytes);
        self.sources.extend(std::iter::repeat_n(source, bytes.len()));
        self.characters += 1;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sources.clear();
        self.characters = 0;
    }

    /// The word in UTF-8.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn characters(&self) -> usize {
        self.characters
    }

    /// The bytes of the text that the word came from; `None` for a word without a letter.
    pub(super) fn source(&self) -> Option<(usize, usize)> {
        (!self.bytes.is_empty()).then(|| self.source_of(0, self.bytes.len()))
    }

    /// The bytes of the text that the word's bytes `from..to` came from; there is one at least.
    #[inline]
    pub(super) fn source_of(&self, from: usize, to: usize) -> (usize, usize) {
        (self.sources[from].0, self.sources[to - 1].1)
    }
}
