//! A transaction as bytes and back.
//!
//! Both directions give the same [`Changes`], so what is applied to memory after a write is what
//! a later replay of the log applies.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use kernels::{Backend, ElementType};

use crate::bytes::{Reader, bytes_of, put_text};
use crate::error::Result;
use crate::format::{
    DOCUMENT_REMOVED, DOCUMENT_SET, FRAME_HEADER_BYTES, FRAME_TRANSACTION, TRANSACTION_COUNTS_BYTES,
};
use crate::frame::PreparedFrame;
use crate::record::{Document, Id, Place, Transaction};
use crate::record_encoding::{put_id, put_record, take_id, take_record};
use crate::records::{StoredRecord, TextLocation};
use crate::schema::Schema;
use crate::vector_fields::take_rows;

/// A transaction that is in a log, ready to be applied to memory.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) deletes: Vec<Id>,
    /// Their texts' offsets still count from the payload's start.
    pub(crate) records: Vec<StoredRecord>,
    /// One row a record.
    pub(crate) vectors: Vec<f32>,
    pub(crate) documents: Vec<(String, Option<Document>)>,
}

/// Payload in front of the vectors.
pub(crate) const BYTES_BEFORE_VECTORS: usize = TRANSACTION_COUNTS_BYTES;

/// The vectors of a validated transaction as they stand in the middle of its frame, if they are at least so
/// many bytes that they stay apart from it.
pub(crate) fn large_vectors<'a>(
    vectors: &'a [f32],
    schema: &Schema,
    least_bytes: usize,
) -> Option<Cow<'a, [u8]>> {
    let bytes = vectors.len() * logged_element(schema.element).element_bytes();
    (bytes > 0 && bytes >= least_bytes).then(|| logged_vectors(vectors, schema.element))
}

/// Encodes a validated transaction: columns agree in length, counts fit 32 bits, numbers are those
/// of the element types. The middle of the frame is what [`large_vectors`] gives of the vectors.
///
/// # Errors
/// `InvalidArgument` for a text that is too long for its length field.
pub(crate) fn encode(
    transaction: Transaction,
    schema: &Schema,
    least_bytes: usize,
) -> Result<(PreparedFrame, Changes)> {
    let Schema { element, ref fields, .. } = *schema;
    let Transaction { deletes, upserts, documents } = transaction;
    let dimension = upserts.vectors.len() / upserts.ids.len().max(1);
    let (sources, source_numbers) = number_sources(&upserts.places);

    let mut front = vec![0; FRAME_HEADER_BYTES];
    for count in [upserts.ids.len(), deletes.len(), documents.len(), sources.len()] {
        front.extend_from_slice(&(count as u32).to_le_bytes());
    }
    let large = large_vectors(&upserts.vectors, schema, least_bytes);
    // Everything behind the vectors that stand apart, or everything.
    let (mut bytes, in_front) = match &large {
        Some(vectors) => (Vec::new(), front.len() + vectors.len()),
        None => (std::mem::take(&mut front), 0),
    };
    let small = if large.is_none() { upserts.vectors.len() } else { 0 };
    let texts: usize = upserts.texts.iter().flatten().map(String::len).sum();
    bytes.reserve(small * logged_element(element).element_bytes() + upserts.ids.len() * 64 + texts);
    if large.is_none() {
        bytes.extend_from_slice(&logged_vectors(&upserts.vectors, element));
    }
    for source in &sources {
        put_text(&mut bytes, source)?;
    }

    let mut texts = upserts.texts.into_iter();
    let mut metadata = upserts.metadata.into_iter();
    let mut places = upserts.places.into_iter();
    let mut vectors = take_rows(upserts.fields, upserts.ids.len(), fields)?.into_iter();
    let mut records = Vec::with_capacity(upserts.ids.len());
    for id in upserts.ids {
        let start = bytes.len();
        let text = texts.next().flatten();
        let metadata = metadata.next().flatten();
        let place = places.next().flatten();
        let place_and_number = place.as_ref().map(|place| (place, source_numbers[&place.source]));
        let vectors = vectors.next().unwrap_or_default();
        let text_range = put_record(
            &mut bytes,
            &id,
            text.as_deref(),
            metadata.as_ref(),
            place_and_number,
            (&vectors, fields),
        )?;
        let text = text_range.map(|range| TextLocation {
            offset: (in_front + range.start - FRAME_HEADER_BYTES) as u64,
            length: range.len() as u32,
            checksum: crc32fast::hash(&bytes[range]),
        });
        records.push(StoredRecord {
            id,
            metadata: metadata.map(Arc::new),
            place,
            text,
            vectors,
            logged_bytes: logged_bytes(bytes.len() - start, dimension, element),
        });
    }

    for id in &deletes {
        put_id(&mut bytes, id)?;
    }
    for (source, document) in &documents {
        put_text(&mut bytes, source)?;
        match document {
            None => bytes.push(DOCUMENT_REMOVED),
            Some(document) => {
                bytes.push(DOCUMENT_SET);
                bytes.extend_from_slice(&document.fingerprint);
                bytes.extend_from_slice(&document.records.to_le_bytes());
            }
        }
    }

    let frame = match large {
        Some(vectors) => PreparedFrame::around(FRAME_TRANSACTION, front, &vectors, bytes),
        None => PreparedFrame::new(FRAME_TRANSACTION, bytes),
    };
    Ok((frame, Changes { deletes, records, vectors: upserts.vectors, documents }))
}

/// Decodes a payload whose checksum matched. `None` for one that no release can have written.
///
/// Counts are believed only as far as the bytes reach that they speak of.
pub(crate) fn decode(payload: &[u8], schema: &Schema) -> Option<Changes> {
    let Schema { dimension, element, .. } = *schema;
    let mut reader = Reader::new(payload);
    let record_count = reader.u32()? as usize;
    let delete_count = reader.u32()? as usize;
    let document_count = reader.u32()? as usize;
    let source_count = reader.u32()? as usize;

    let logged = logged_element(element);
    let numbers = record_count.checked_mul(dimension)?;
    let stored = reader.take(numbers.checked_mul(logged.element_bytes())?)?;
    let mut vectors = vec![0.0; numbers];
    Backend::active().decode_row(logged, stored, &mut vectors);
    if !vectors.iter().all(|number| number.is_finite()) {
        return None;
    }

    let mut sources: Vec<Arc<str>> = Vec::new();
    for _ in 0..source_count {
        sources.push(reader.text()?.into());
    }
    let mut records = Vec::new();
    for _ in 0..record_count {
        records.push(decode_record(&mut reader, payload, &sources, schema)?);
    }
    let mut deletes = Vec::new();
    for _ in 0..delete_count {
        deletes.push(take_id(&mut reader)?);
    }
    let mut documents = Vec::new();
    for _ in 0..document_count {
        let source = reader.text()?.to_owned();
        let document = match reader.u8()? {
            DOCUMENT_REMOVED => None,
            DOCUMENT_SET => Some(Document { fingerprint: reader.array()?, records: reader.u32()? }),
            _ => return None,
        };
        documents.push((source, document));
    }
    (reader.remaining() == 0).then_some(Changes { deletes, records, vectors, documents })
}

/// Reads the next record of a payload.
fn decode_record(
    reader: &mut Reader<'_>,
    payload: &[u8],
    sources: &[Arc<str>],
    schema: &Schema,
) -> Option<StoredRecord> {
    let start = reader.position();
    let record = take_record(reader)?;
    let text = match &record.text {
        None => None,
        Some(range) => {
            let text = std::str::from_utf8(&payload[range.clone()]).ok()?;
            Some(TextLocation {
                offset: range.start as u64,
                length: range.len() as u32,
                checksum: crc32fast::hash(text.as_bytes()),
            })
        }
    };
    Some(StoredRecord {
        metadata: record.metadata()?,
        place: record.place(|number| sources.get(number as usize).cloned().ok_or(())).ok()?,
        vectors: record.vectors(&schema.fields)?,
        id: record.id,
        text,
        logged_bytes: logged_bytes(reader.position() - start, schema.dimension, schema.element),
    })
}

/// Saturates: the figure only steers compaction.
fn logged_bytes(without_vector: usize, dimension: usize, element: ElementType) -> u32 {
    let vector = logged_element(element).row_bytes(dimension);
    u32::try_from(without_vector + vector).unwrap_or(u32::MAX)
}

/// What vectors are in a log, where rows follow one another without anything between them.
fn logged_element(element: ElementType) -> ElementType {
    match element {
        ElementType::Bits => ElementType::Bits,
        _ => ElementType::Float32,
    }
}

fn logged_vectors(vectors: &[f32], element: ElementType) -> Cow<'_, [u8]> {
    match logged_element(element) {
        ElementType::Bits => vectors.iter().map(|&byte| byte as u8).collect(),
        _ => bytes_of(vectors),
    }
}

/// The distinct sources in order of appearance, and each one's number.
fn number_sources(places: &[Option<Place>]) -> (Vec<Arc<str>>, HashMap<Arc<str>, u32>) {
    let mut sources = Vec::new();
    let mut numbers = HashMap::new();
    for place in places.iter().flatten() {
        if !numbers.contains_key(&place.source) {
            numbers.insert(place.source.clone(), sources.len() as u32);
            sources.push(place.source.clone());
        }
    }
    (sources, numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::record::Batch;
    use crate::schema::Metric;
    use crate::sparse_vector::SparseVector;
    use crate::vector_fields::{FieldVector, VectorField};

    fn schema(dimension: usize) -> Schema {
        let fields = vec![VectorField::dense("d", 2, Metric::Dot), VectorField::sparse("s")];
        Schema::new(dimension, Metric::Dot).with_fields(fields)
    }

    fn sparse() -> impl Strategy<Value = FieldVector> {
        prop::collection::btree_map(any::<u32>(), -1e30f32..1e30, 0..4).prop_map(|numbers| {
            let (indices, values) = numbers.into_iter().unzip();
            FieldVector::Sparse(SparseVector::new(indices, values).unwrap())
        })
    }

    fn transaction(dimension: usize) -> impl Strategy<Value = Transaction> {
        let id = prop_oneof![any::<i64>().prop_map(Id::Int), ".{0,4}".prop_map(Id::from)];
        let metadata = prop::option::of(".{0,4}".prop_map(|text| json!({ "k": text })));
        let place =
            prop::option::of((".{0,3}", any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
                |(source, start, end, line)| Place { source: source.into(), start, end, line },
            ));
        let record = (
            id.clone(),
            prop::collection::vec(-1e30f32..1e30, dimension),
            prop::option::of(".{0,8}"),
            metadata,
            place,
            prop::option::of(prop::collection::vec(-1e30f32..1e30, 2).prop_map(FieldVector::Dense)),
            prop::option::of(sparse()),
        );
        let document = prop::option::of((any::<[u8; 32]>(), any::<u32>()))
            .prop_map(|d| d.map(|(fingerprint, records)| Document { fingerprint, records }));
        let upserts = prop::collection::vec(record, 0..5).prop_map(|records| {
            let mut batch = Batch::default();
            for (id, vector, text, metadata, place, dense, sparse) in records {
                batch.ids.push(id);
                batch.vectors.extend(vector);
                batch.texts.push(text);
                batch.metadata.push(metadata);
                batch.places.push(place);
                batch.fields.entry("d".to_owned()).or_default().push(dense);
                batch.fields.entry("s".to_owned()).or_default().push(sparse);
            }
            batch
        });
        (
            prop::collection::vec(id, 0..4),
            upserts,
            prop::collection::vec((".{0,4}", document), 0..3),
        )
            .prop_map(|(deletes, upserts, documents)| Transaction {
                deletes,
                upserts,
                documents,
            })
    }

    /// Bytes of vectors from which on they stay apart, in these tests.
    const LARGE: usize = 64;

    fn payload(frame: &mut PreparedFrame, vectors: &[f32], schema: &Schema) -> Vec<u8> {
        let length = frame.payload_bytes();
        let middle = large_vectors(vectors, schema, LARGE).unwrap_or_default();
        let (front, rest) = frame.finish(0, 0, 1, 0);
        let bytes = [front, &middle, rest].concat();
        let checksum = crc32fast::hash(&bytes[FRAME_HEADER_BYTES..]);
        assert_eq!(bytes[4..8], checksum.to_le_bytes());
        bytes[FRAME_HEADER_BYTES..][..length].to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn what_was_encoded_decodes_to_the_same_changes(transaction in transaction(3)) {
            let texts = transaction.upserts.texts.clone();
            let (mut frame, changes) = encode(transaction, &schema(3), LARGE).unwrap();
            let payload = payload(&mut frame, &changes.vectors, &schema(3));
            for (text, record) in texts.iter().zip(&changes.records) {
                let found = record.text.map(|text| {
                    let start = text.offset as usize;
                    &payload[start..start + text.length as usize]
                });
                prop_assert_eq!(found, text.as_ref().map(|text| text.as_bytes()));
            }
            prop_assert_eq!(decode(&payload, &schema(3)), Some(changes));
        }

        #[test]
        fn spoiled_payloads_decode_to_something_or_nothing(
            transaction in transaction(2),
            position in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut frame, changes) = encode(transaction, &schema(2), LARGE).unwrap();
            let mut payload = payload(&mut frame, &changes.vectors, &schema(2));
            let position = position.index(payload.len());
            payload[position] = byte;
            decode(&payload, &schema(2));
            payload.truncate(cut.index(payload.len()));
            prop_assert_eq!(decode(&payload, &schema(2)), None, "a cut payload");
        }

        #[test]
        fn arbitrary_payloads_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            decode(&payload, &schema(1));
            decode(&payload, &Schema::bits(1));
        }
    }

    #[test]
    fn many_vectors_stay_apart_from_their_frame_and_decode_to_the_same() {
        for (schema, element_bytes) in [(Schema::new(4, Metric::L2), 4), (Schema::bits(4), 1)] {
            let least = LARGE / (4 * element_bytes);
            for rows in [least - 1, least, 3 * least + 5] {
                let number = |index: usize| (index % 251) as f32;
                let upserts = Batch {
                    ids: (0..rows as i64).map(Id::Int).collect(),
                    vectors: (0..rows * 4).map(number).collect(),
                    texts: (0..rows).map(|row| Some(format!("text {row}"))).collect(),
                    ..Batch::default()
                };
                let is_large = large_vectors(&upserts.vectors, &schema, LARGE).is_some();
                assert_eq!(is_large, rows >= least);
                let transaction = Transaction { upserts, ..Transaction::default() };
                let (mut frame, changes) = encode(transaction, &schema, LARGE).unwrap();
                let payload = payload(&mut frame, &changes.vectors, &schema);
                let text = changes.records[rows - 1].text.unwrap();
                let text = &payload[text.offset as usize..][..text.length as usize];
                assert_eq!(text, format!("text {}", rows - 1).as_bytes());
                assert_eq!(decode(&payload, &schema), Some(changes));
            }
        }
    }

    #[test]
    fn packed_bits_take_a_byte_each() {
        let batch = |vectors| Batch { ids: vec![1.into(), 2.into()], vectors, ..Batch::default() };
        let of = |schema: &Schema| {
            let upserts = batch(vec![0.0, 255.0, 7.0, 128.0]);
            let transaction = Transaction { upserts, ..Transaction::default() };
            let (mut frame, changes) = encode(transaction, schema, LARGE).unwrap();
            (payload(&mut frame, &changes.vectors, schema), changes)
        };
        let (packed, changes) = of(&Schema::bits(2));
        assert_eq!(packed[TRANSACTION_COUNTS_BYTES..][..4], [0, 255, 7, 128]);
        assert_eq!(packed.len() + 4 * 3, of(&Schema::new(2, Metric::L2)).0.len());
        assert_eq!(changes.records[0].logged_bytes, 2 + 10);
        assert_eq!(decode(&packed, &Schema::bits(2)), Some(changes));
        for end in 0..packed.len() {
            assert_eq!(decode(&packed[..end], &Schema::bits(2)), None);
        }
    }

    #[test]
    fn impossible_counts_allocate_nothing() {
        for position in 0..4 {
            let mut payload = [0; 16];
            payload[position * 4..][..4].fill(0xff);
            assert_eq!(decode(&payload, &schema(65_536)), None);
        }
    }
}
