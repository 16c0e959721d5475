//! A field of a collection: its name, and what vectors it takes.

use std::fmt;

use kernels::ElementType;

use crate::error::{Error, Result};
use crate::format::{MAX_DIMENSION, MAX_FIELD_NAME_BYTES, MAX_FIELDS};
use crate::schema::{Metric, Schema};

/// Names of what a record has besides: a field called so could not be told from it in a table.
const RESERVED: [&str; 5] = ["id", "vector", "text", "metadata", "place"];

/// A field of a collection, in which each record may have a vector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VectorField {
    /// 1 to 64 of `a-z 0-9 _ -`.
    pub name: String,
    /// What vectors it takes.
    pub kind: FieldKind,
}

/// What vectors a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// Vectors of one length.
    Dense(DenseField),
    /// Numbers at some of 2^32 places, compared by their dot product.
    Sparse,
}

/// What vectors of one length are, in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DenseField {
    /// Numbers in a vector, 1 to 65,536. A number of packed bits is a byte, 0 to 255.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// What the elements are rounded to when they are written, and kept as.
    pub element: ElementType,
}

impl VectorField {
    /// A field of vectors that are kept as they are.
    pub fn dense(name: &str, dimension: usize, metric: Metric) -> Self {
        let element = ElementType::Float32;
        let kind = FieldKind::Dense(DenseField { dimension, metric, element });
        Self { name: name.to_owned(), kind }
    }

    /// A field of sparse vectors.
    pub fn sparse(name: &str) -> Self {
        Self { name: name.to_owned(), kind: FieldKind::Sparse }
    }
}

impl DenseField {
    /// The schema of a collection whose records' own vectors are of this kind.
    pub(crate) fn schema(&self) -> Schema {
        let Self { dimension, metric, element } = *self;
        Schema { element, ..Schema::new(dimension, metric) }
    }

    /// Bytes of a vector as it is kept.
    pub(crate) fn row_bytes(&self) -> usize {
        self.element.row_bytes(self.dimension)
    }
}

/// Fields in the order of their names, each of which is one and its own.
///
/// # Errors
/// `InvalidArgument` says what is wrong with which field.
pub(crate) fn validate_fields(fields: &[VectorField]) -> Result<()> {
    let refuse = |reason: String| Err(Error::InvalidArgument(reason));
    if fields.len() > MAX_FIELDS {
        return refuse(format!(
            "a collection has at most {MAX_FIELDS} fields, not {}",
            fields.len()
        ));
    }
    for VectorField { name, kind } in fields {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        if !(1..=MAX_FIELD_NAME_BYTES).contains(&name.len()) || !name.bytes().all(allowed) {
            return refuse(format!(
                "'{name}' cannot name a field: use 1 to {MAX_FIELD_NAME_BYTES} of a-z 0-9 _ -"
            ));
        }
        if RESERVED.contains(&name.as_str()) {
            return refuse(format!(
                "'{name}' cannot name a field: it names a part that every record has"
            ));
        }
        if let FieldKind::Dense(dense) = kind {
            let named = |error: Error| Error::InvalidArgument(format!("field '{name}': {error}"));
            if !(1..=MAX_DIMENSION).contains(&dense.dimension) {
                let least = dense.element.coordinates();
                return refuse(format!(
                    "field '{name}': the dimension is {least} to {}, not {}",
                    MAX_DIMENSION * least,
                    dense.dimension * least
                ));
            }
            dense.schema().validate().map_err(named)?;
        }
    }
    match fields.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        Some(pair) if pair[0].name == pair[1].name => {
            refuse(format!("two fields are named '{}'", pair[0].name))
        }
        Some(_) => refuse("fields are in the order of their names".to_owned()),
        None => Ok(()),
    }
}

/// The number of a field, and what it takes.
///
/// # Errors
/// `InvalidArgument` where there is none of this name: says which there are.
pub(crate) fn field_named(fields: &[VectorField], name: &str) -> Result<(u8, FieldKind)> {
    let found = (0..).zip(fields).find(|(_, field)| field.name == name);
    found.map(|(number, field)| (number, field.kind)).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        Error::InvalidArgument(match names.is_empty() {
            true => format!("the collection has no field '{name}': it was created without fields"),
            false => format!("the collection has no field '{name}', but {}", names.join(", ")),
        })
    })
}

impl fmt::Display for VectorField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FieldKind::Sparse => write!(f, "{} (sparse)", self.name),
            FieldKind::Dense(DenseField { dimension, metric, element }) => {
                let coordinates = dimension * element.coordinates();
                write!(f, "{} ({coordinates}, {}, {})", self.name, metric.name(), element.name())
            }
        }
    }
}
