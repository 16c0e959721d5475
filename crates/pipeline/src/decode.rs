//! From bytes to text: byte order marks, declared encodings, and a clear refusal of the rest.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::parse::ParseError;

/// An HTML page declares its encoding near its beginning; browsers look at 1024 bytes, real pages
/// sometimes put it a little later.
const DECLARATION_BYTES: usize = 4096;

/// Decodes a file. A byte order mark decides; then `label`, an encoding's name as the WHATWG
/// encoding standard knows it; then, with `declared`, what the file says of itself in
/// `<meta charset>` or an XML declaration; otherwise the file must be UTF-8. The byte order mark
/// is not part of the result.
pub(crate) fn decode(
    bytes: Vec<u8>,
    label: Option<&str>,
    declared: bool,
) -> Result<String, ParseError> {
    let asked = label.map(encoding_of).transpose()?;
    if let Some((encoding, mark)) = Encoding::for_bom(&bytes) {
        return decode_as(encoding, bytes, mark);
    }
    let encoding = match asked {
        Some(encoding) => encoding,
        None if declared => declared_encoding(&bytes).unwrap_or(UTF_8),
        None => UTF_8,
    };
    decode_as(encoding, bytes, 0)
}

fn encoding_of(label: &str) -> Result<&'static Encoding, ParseError> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| ParseError::UnknownEncoding(label.to_owned()))
}

fn decode_as(
    encoding: &'static Encoding,
    mut bytes: Vec<u8>,
    mark: usize,
) -> Result<String, ParseError> {
    let wide = encoding == UTF_16LE || encoding == UTF_16BE;
    if !wide && let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(ParseError::Binary { offset });
    }
    let text = if encoding == UTF_8 {
        bytes.drain(..mark);
        String::from_utf8(bytes).map_err(|error| ParseError::NotUtf8 {
            offset: mark + error.utf8_error().valid_up_to(),
        })?
    } else {
        encoding
            .decode_without_bom_handling_and_without_replacement(&bytes[mark..])
            .ok_or(ParseError::NotInEncoding(encoding.name()))?
            .into_owned()
    };
    match text.find('\0') {
        Some(offset) => Err(ParseError::Binary { offset }),
        None => Ok(text),
    }
}

/// The encoding that an HTML or XML file declares in ASCII at its beginning. A file that could be
/// read that far is not UTF-16, so such a declaration means UTF-8, as the HTML standard says.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes[..bytes.len().min(DECLARATION_BYTES)].to_ascii_lowercase();
    let in_xml =
        head.starts_with(b"<?xml").then(|| value_after(until(&head, b"?>"), b"encoding")).flatten();
    let label = in_xml.or_else(|| {
        occurrences(&head, b"<meta")
            .find_map(|tag| value_after(until(&head[tag..], b">"), b"charset"))
    })?;
    let encoding = Encoding::for_label(label)?;
    Some(match encoding {
        wide if wide == UTF_16LE || wide == UTF_16BE => UTF_8,
        other => other,
    })
}

/// The bytes before the first `end`, or all of them.
fn until<'a>(bytes: &'a [u8], end: &[u8]) -> &'a [u8] {
    let length = occurrences(bytes, end).next().unwrap_or(bytes.len());
    &bytes[..length]
}

/// The value in `name = "value"`, `name=value` and `...; name=value"`.
fn value_after<'a>(tag: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after_name = occurrences(tag, name).find_map(|at| {
        tag[at + name.len()..].trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start)
    })?;
    let value = match after_name.first() {
        Some(b'"' | b'\'') => &after_name[1..],
        _ => after_name,
    };
    let length = value
        .iter()
        .position(|byte| {
            matches!(byte, b'"' | b'\'' | b';' | b'/' | b'>') || byte.is_ascii_whitespace()
        })
        .unwrap_or(value.len());
    Some(&value[..length])
}

fn occurrences<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes
        .windows(wanted.len())
        .enumerate()
        .filter_map(move |(index, window)| (window == wanted).then_some(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(bytes: &[u8]) -> Result<String, ParseError> {
        decode(bytes.to_vec(), None, true)
    }

    #[test]
    fn utf8_with_and_without_mark() {
        assert_eq!(decode("é".into(), None, false).unwrap(), "é");
        assert_eq!(decode("\u{feff}é".into(), None, false).unwrap(), "é");
        assert_eq!(decode(Vec::new(), None, false).unwrap(), "");
    }

    #[test]
    fn utf16_needs_a_mark_or_a_label() {
        let little: Vec<u8> = "\u{feff}añ😀".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}añ😀".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(little.clone(), None, false).unwrap(), "añ😀");
        assert_eq!(decode(big, None, false).unwrap(), "añ😀");
        let bare = little[2..].to_vec();
        assert_eq!(decode(bare.clone(), Some("utf-16le"), false).unwrap(), "añ😀");
        assert!(matches!(decode(bare, None, false), Err(ParseError::Binary { .. })));
    }

    #[test]
    fn a_bad_byte_is_named_by_its_place_in_the_file() {
        let error = decode(b"abc\xffdef".to_vec(), None, false).unwrap_err();
        assert!(matches!(error, ParseError::NotUtf8 { offset: 3 }));
        let error = decode(b"\xef\xbb\xbfab\xff".to_vec(), None, false).unwrap_err();
        assert!(matches!(error, ParseError::NotUtf8 { offset: 5 }));
    }

    #[test]
    fn zero_bytes_are_binary() {
        let error = decode(b"PK\x03\x04\0\0".to_vec(), None, false).unwrap_err();
        assert!(matches!(error, ParseError::Binary { offset: 4 }));
        assert!(matches!(
            decode(b"a\0".to_vec(), Some("latin1"), false),
            Err(ParseError::Binary { offset: 1 })
        ));
    }

    #[test]
    fn labels() {
        assert_eq!(decode(b"caf\xe9".to_vec(), Some("latin1"), false).unwrap(), "café");
        assert!(matches!(
            decode(b"x".to_vec(), Some("klingon"), false),
            Err(ParseError::UnknownEncoding(label)) if label == "klingon"
        ));
        assert!(matches!(
            decode(b"\x82".to_vec(), Some("shift_jis"), false),
            Err(ParseError::NotInEncoding("Shift_JIS"))
        ));
    }

    #[test]
    fn declarations_in_html_and_xml() {
        assert!(declared(b"<meta charset=latin1>caf\xe9").unwrap().ends_with("café"));
        assert!(declared(b"<META Charset = 'ISO-8859-1'/>caf\xe9").unwrap().ends_with("café"));
        let old =
            b"<meta http-equiv=\"Content-Type\" content=\"text/html; charset=windows-1251\">\xcf";
        assert!(declared(old).unwrap().ends_with('П'));
        assert!(declared(b"<?xml version='1.0' encoding='koi8-r'?>\xf0").unwrap().ends_with('П'));
        assert!(declared("<meta charset=utf-16>é".as_bytes()).unwrap().ends_with('é'));
        assert!(declared(b"<meta name=charset content=x>caf\xe9").is_err());
        assert!(decode(b"<meta charset=latin1>caf\xe9".to_vec(), None, false).is_err());
    }
}
