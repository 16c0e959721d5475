//! Text to vectors: tokenization and a token-packed transformer encoder.
