//! Vectors of a record as bytes and back: each is the number of its field (a byte), its length in
//! bytes (4) and its bytes. Those of a dense vector are its numbers as the field keeps them, those
//! of a sparse one its indices and then its values.

use kernels::Backend;

use super::field::{FieldKind, VectorField};
use super::vectors::{FieldVector, FieldVectors};
use crate::bytes::{Reader, bytes_of};
use crate::error::{Error, Result};
use crate::sparse_vector::SparseVector;

/// Appends the vectors, behind their length in bytes.
///
/// # Errors
/// `InvalidArgument` for a vector that its field cannot keep, or more bytes than a length has room
/// for.
pub(crate) fn put_vectors(
    bytes: &mut Vec<u8>,
    vectors: &FieldVectors,
    fields: &[VectorField],
) -> Result<()> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    for (number, vector) in vectors.iter() {
        let field = fields.get(usize::from(number));
        bytes.push(number);
        match (vector, field.map(|field| field.kind)) {
            (FieldVector::Dense(numbers), Some(FieldKind::Dense(dense)))
                if numbers.len() == dense.dimension =>
            {
                let length = dense.row_bytes();
                bytes.extend_from_slice(&(length as u32).to_le_bytes());
                let place = bytes.len();
                bytes.resize(place + length, 0);
                Backend::active()
                    .encode_row(dense.element, numbers, &mut bytes[place..])
                    .map_err(|error| Error::InvalidArgument(error.to_string()))?;
            }
            (FieldVector::Sparse(sparse), Some(FieldKind::Sparse)) => {
                let length = sparse.indices().len() * 8;
                bytes.extend_from_slice(&(length as u32).to_le_bytes());
                bytes.extend(sparse.indices().iter().flat_map(|index| index.to_le_bytes()));
                bytes.extend_from_slice(&bytes_of(sparse.values()));
            }
            _ => {
                let reason = format!("the collection's field {number} takes no such vector");
                return Err(Error::InvalidArgument(reason));
            }
        }
    }
    let length = u32::try_from(bytes.len() - start - 4).map_err(|_| {
        Error::InvalidArgument("a record's vectors take more than 4 GiB".to_owned())
    })?;
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The vectors of so many bytes. `None` for bytes that no release can have written.
pub(crate) fn decode_vectors(bytes: &[u8], fields: &[VectorField]) -> Option<FieldVectors> {
    let mut vectors = Vec::new();
    each(bytes, &mut |number, stored| {
        vectors.push((number, decode(stored, fields.get(usize::from(number))?.kind)?));
        Some(())
    })?;
    // Without any there would have been no flag.
    (!vectors.is_empty()).then(|| FieldVectors::new(vectors))
}

/// The vector in the field of a number, if there is one; an outer `None` for bytes that no release
/// can have written.
pub(crate) fn decode_vector(
    bytes: &[u8],
    fields: &[VectorField],
    wanted: u8,
) -> Option<Option<FieldVector>> {
    let mut found = None;
    each(bytes, &mut |number, stored| {
        if number == wanted {
            found = Some(decode(stored, fields.get(usize::from(number))?.kind)?);
        }
        Some(())
    })?;
    Some(found)
}

/// Shows the number of each vector's field, and its bytes.
fn each<'a>(bytes: &'a [u8], see: &mut dyn FnMut(u8, &'a [u8]) -> Option<()>) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let mut before = None;
    while reader.remaining() > 0 {
        let number = reader.u8()?;
        if before.is_some_and(|before| before >= number) {
            return None;
        }
        before = Some(number);
        let length = reader.u32()? as usize;
        see(number, reader.take(length)?)?;
    }
    Some(())
}

fn decode(stored: &[u8], kind: FieldKind) -> Option<FieldVector> {
    match kind {
        FieldKind::Dense(dense) => {
            if stored.len() != dense.row_bytes() {
                return None;
            }
            let mut numbers = vec![0.0; dense.dimension];
            Backend::active().decode_row(dense.element, stored, &mut numbers);
            numbers.iter().all(|number| number.is_finite()).then_some(FieldVector::Dense(numbers))
        }
        FieldKind::Sparse => {
            let (words, []) = stored.as_chunks::<4>() else { return None };
            if words.len() % 2 != 0 {
                return None;
            }
            let (indices, values) = words.split_at(words.len() / 2);
            let indices = indices.iter().map(|word| u32::from_le_bytes(*word)).collect();
            let values = values.iter().map(|word| f32::from_le_bytes(*word)).collect();
            SparseVector::new(indices, values).ok().map(FieldVector::Sparse)
        }
    }
}

#[cfg(test)]
mod tests {
    use kernels::ElementType;

    use super::*;
    use crate::schema::Metric;
    use crate::vector_fields::DenseField;

    #[test]
    fn vectors_read_back_and_spoiled_ones_are_something_or_nothing() {
        let dense = DenseField { dimension: 3, metric: Metric::L2, element: ElementType::Int8 };
        let fields = [
            VectorField::dense("a", 2, Metric::Dot),
            VectorField { name: "b".to_owned(), kind: FieldKind::Dense(dense) },
            VectorField::sparse("c"),
        ];
        let sparse = SparseVector::new(vec![0, 7, u32::MAX], vec![0.5, -1.0, 0.0]).unwrap();
        let vectors = FieldVectors::new(vec![
            (0, FieldVector::Dense(vec![1.0, -2.5])),
            (1, FieldVector::Dense(vec![127.0, 0.0, -3.0])),
            (2, FieldVector::Sparse(sparse)),
        ]);
        let mut bytes = Vec::new();
        put_vectors(&mut bytes, &vectors, &fields).unwrap();
        assert_eq!(bytes.len(), 4 + 3 * 5 + 8 + (3 + 4) + 24);
        let (length, content) = bytes.split_at(4);
        assert_eq!(length, (content.len() as u32).to_le_bytes());
        assert_eq!(decode_vectors(content, &fields), Some(vectors));
        for end in 0..content.len() {
            // Behind each of the vectors it is whole.
            assert_eq!(decode_vectors(&content[..end], &fields).is_some(), [13, 25].contains(&end));
        }
        for bit in 0..content.len() * 8 {
            let mut spoiled = content.to_vec();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            decode_vectors(&spoiled, &fields);
        }
        assert_eq!(decode_vectors(content, &fields[..2]), None, "a field that is not there");
        assert!(put_vectors(&mut Vec::new(), &FieldVectors::default(), &fields).is_ok());
    }
}
