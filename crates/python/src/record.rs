//! What comes out of a collection: records and hits.

use std::sync::Arc;

use database::{
    ElementType, FieldKind, FieldVector, FieldVectors, Id, Place, Schema, TextQuery, VectorField,
};
use numpy::{IntoPyArray, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use crate::convert::{id_to_python, json_to_python};
use crate::fields::SparseVector;

/// What a record and a hit have in common.
struct Content {
    id: Id,
    text: Option<String>,
    metadata: Option<Arc<Value>>,
    place: Option<Place>,
}

impl Content {
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.metadata.as_deref().map(|value| json_to_python(py, value)).transpose()
    }

    /// The id as Python would print it.
    fn id_repr(&self) -> String {
        match &self.id {
            Id::Int(number) => number.to_string(),
            Id::Str(text) => format!("{text:?}"),
        }
    }

    /// Where it stands and how its text begins, for a `repr`.
    fn summary(&self) -> String {
        const SHOWN: usize = 60;
        let mut summary = String::new();
        if let Some(place) = &self.place {
            summary += &format!(", {}:{}", place.source, place.line);
        }
        if let Some(text) = &self.text {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let short: String = words.chars().take(SHOWN).collect();
            let more = if words.chars().count() > SHOWN { "..." } else { "" };
            summary += &format!(", {:?}", short + more);
        }
        summary
    }
}

macro_rules! with_content {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        #[pymethods]
        impl $name {
            $($own)*

            /// The record's id.
            #[getter]
            fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                id_to_python(py, &self.content.id)
            }

            /// Its text, if it has one.
            #[getter]
            fn text(&self) -> Option<&str> {
                self.content.text.as_deref()
            }

            /// Its metadata, if it has any: a new dict each time.
            #[getter]
            fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
                self.content.metadata(py)
            }

            /// The file or text that it was cut from, if it was ingested.
            #[getter]
            fn source(&self) -> Option<&str> {
                self.content.place.as_ref().map(|place| place.source.as_ref())
            }

            /// Where its text begins in the source's text, in characters.
            #[getter]
            fn start(&self) -> Option<u64> {
                self.content.place.as_ref().map(|place| place.start)
            }

            /// Where its text ends: `source_text[start:end] == text`.
            #[getter]
            fn end(&self) -> Option<u64> {
                self.content.place.as_ref().map(|place| place.end)
            }

            /// The line of the source file that its text begins on, counted from 1.
            #[getter]
            fn line(&self) -> Option<u64> {
                self.content.place.as_ref().map(|place| place.line)
            }
        }
    };
}

/// A record of a collection: id, vector, text, metadata and place.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Record {
    content: Content,
    vector: Vec<f32>,
    /// Whether the vector's numbers are bytes of packed bits.
    packed: bool,
    vectors: FieldVectors,
    /// The collection's, where there are such vectors.
    fields: Vec<VectorField>,
}

fn numbers<'py>(py: Python<'py>, vector: &[f32], packed: bool) -> Bound<'py, PyAny> {
    if packed {
        let bytes: Vec<u8> = vector.iter().map(|&byte| byte as u8).collect();
        return bytes.into_pyarray(py).into_any();
    }
    vector.to_pyarray(py).into_any()
}

with_content!(Record {
    /// The vector, exactly as it was written: a new float32 array each time, of uint8 where the
    /// collection holds packed bits.
    #[getter]
    fn vector<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        numbers(py, &self.vector, self.packed)
    }

    /// Its vectors in the collection's fields, by their names, where it has any: arrays as of
    /// `vector`, and SparseVector. A new dict each time.
    #[getter]
    fn vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (number, vector) in self.vectors.iter() {
            let Some(field) = self.fields.get(usize::from(number)) else { continue };
            match vector {
                FieldVector::Sparse(sparse) => {
                    dict.set_item(&field.name, SparseVector { inner: sparse.clone() })?;
                }
                FieldVector::Dense(vector) => {
                    let packed = matches!(
                        field.kind,
                        FieldKind::Dense(field) if field.element == ElementType::Bits
                    );
                    dict.set_item(&field.name, numbers(py, vector, packed))?;
                }
            }
        }
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!("Record({}{})", self.content.id_repr(), self.content.summary())
    }
});

/// A record that a search found, with its score.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Hit {
    content: Content,
    score: f32,
    /// What was searched by words: where the text has them is looked for when somebody asks.
    words: Option<Arc<TextQuery>>,
}

impl Hit {
    pub(crate) fn of_words(hit: database::Hit, words: &Arc<TextQuery>) -> Hit {
        Hit { words: Some(words.clone()), ..Hit::from(hit) }
    }
}

with_content!(Hit {
    /// How near it is: cosine or dot product (larger is nearer), or squared L2 or Hamming distance
    /// (smaller is nearer; of bits a whole number), as the collection's metric says. In a search by words the BM25 score, in a hybrid one
    /// the sum of the weighted reciprocal ranks; larger is better in both.
    #[getter]
    fn score(&self) -> f32 {
        self.score
    }

    /// Where the text has words of the query, after a search by words or a hybrid one:
    /// `[(start, end), ...]` in characters of `text`, in order.
    #[getter]
    fn highlights(&self) -> Vec<(usize, usize)> {
        let (Some(words), Some(text)) = (&self.words, &self.content.text) else {
            return Vec::new();
        };
        words.highlights(text).into_iter().map(|place| (place.start, place.end)).collect()
    }

    fn __repr__(&self) -> String {
        let Hit { content, score, .. } = self;
        format!("Hit({}, score={score:.4}{})", content.id_repr(), content.summary())
    }
});

impl Record {
    /// A record of a collection of this schema.
    pub(crate) fn of(record: database::Record, schema: &Schema) -> Self {
        let database::Record { id, vector, text, metadata, place, vectors } = record;
        let packed = schema.element == ElementType::Bits;
        let fields = if vectors.is_empty() { Vec::new() } else { schema.fields.clone() };
        Record { content: Content { id, text, metadata, place }, vector, packed, vectors, fields }
    }
}

impl From<database::Hit> for Hit {
    fn from(hit: database::Hit) -> Self {
        let database::Hit { id, score, text, metadata, place } = hit;
        Hit { content: Content { id, text, metadata, place }, score, words: None }
    }
}
