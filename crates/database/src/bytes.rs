//! Little-endian numbers and length-prefixed text, out of bytes that nobody vouches for.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::MAX_TEXT_BYTES;

/// Reads from the front of a slice; every method returns `None` at the end of the bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(length)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length and so many bytes of UTF-8.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()?;
        std::str::from_utf8(self.take(length as usize)?).ok()
    }
}

/// Appends a length and the text.
///
/// # Errors
/// `InvalidArgument` for a text whose length does not fit 32 bits.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) -> Result<()> {
    let length = text_length(text.len())?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends a length and the text of a JSON value.
///
/// # Errors
/// As [`put_text`].
pub(crate) fn put_json(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, value).map_err(|error| {
        Error::InvalidArgument(format!("metadata cannot be written as JSON: {error}"))
    })?;
    let length = text_length(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// What is written for a length in bytes.
///
/// # Errors
/// `InvalidArgument` beyond [`MAX_TEXT_BYTES`].
pub(crate) fn text_length(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).map_err(|_| {
        Error::InvalidArgument(format!(
            "a text of {bytes} bytes is too long: {MAX_TEXT_BYTES} is the limit"
        ))
    })
}

/// Numbers as they lie in the file, or a copy where this machine has another byte order.
pub(crate) fn floats_of(bytes: &[u8]) -> Cow<'_, [f32]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(numbers) if cfg!(target_endian = "little") => Cow::Borrowed(numbers),
        _ => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    }
}

/// The reverse of [`floats_of`].
pub(crate) fn bytes_of(numbers: &[f32]) -> Cow<'_, [u8]> {
    match cfg!(target_endian = "little") {
        true => Cow::Borrowed(bytemuck::cast_slice(numbers)),
        false => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_its_text() {
        let value = serde_json::json!({"b": [1, 2.5, null, "\u{7f}é\n"], "a": {"": true}});
        let (mut json, mut text) = (vec![7], vec![7]);
        put_json(&mut json, &value).unwrap();
        put_text(&mut text, &value.to_string()).unwrap();
        assert_eq!(json, text);
    }

    #[test]
    fn lengths_end_at_the_limit() {
        assert_eq!(text_length(MAX_TEXT_BYTES as usize).unwrap(), u32::MAX);
        let error = text_length(MAX_TEXT_BYTES as usize + 1).unwrap_err().to_string();
        assert!(
            error.contains("4294967296") && error.contains("4294967295 is the limit"),
            "{error}"
        );
    }
}
