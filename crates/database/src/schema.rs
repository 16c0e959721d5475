//! What a collection is made for: fixed when it is created.

use std::fmt;

use kernels::ElementType;

use crate::error::{Error, Result};
use crate::format::{
    ELEMENT_BFLOAT16, ELEMENT_BITS, ELEMENT_FLOAT16, ELEMENT_FLOAT32, ELEMENT_INT8, MAX_DIMENSION,
    MAX_MODEL_TEXT_BYTES, METRIC_COSINE, METRIC_DOT, METRIC_HAMMING, METRIC_L2,
};
use crate::vector_fields::{VectorField, validate_fields};

/// How two vectors are compared. Results always come best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Cosine similarity, -1 to 1: larger is better. A zero vector scores 0.
    Cosine,
    /// Dot product: larger is better.
    Dot,
    /// Squared Euclidean distance: smaller is better.
    L2,
    /// In how many of their packed bits vectors differ: a whole number, smaller is better. It goes
    /// with the element type `Bits`, and that type with it.
    Hamming,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 4] = [Metric::Cosine, Metric::Dot, Metric::L2, Metric::Hamming];

    /// The lower-case name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::L2 => "l2",
            Metric::Hamming => "hamming",
        }
    }

    /// What stands for it on disk.
    pub(crate) fn code(self) -> u8 {
        match self {
            Metric::Cosine => METRIC_COSINE,
            Metric::Dot => METRIC_DOT,
            Metric::L2 => METRIC_L2,
            Metric::Hamming => METRIC_HAMMING,
        }
    }

    /// The metric of a code; `None` for a number that stands for nothing.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.code() == code)
    }
}

/// What stands for an element type on disk.
pub(crate) const fn element_code(element: ElementType) -> u8 {
    match element {
        ElementType::Float32 => ELEMENT_FLOAT32,
        ElementType::Float16 => ELEMENT_FLOAT16,
        ElementType::BFloat16 => ELEMENT_BFLOAT16,
        ElementType::Int8 => ELEMENT_INT8,
        ElementType::Bits => ELEMENT_BITS,
    }
}

/// The element type of a code; `None` for a number that stands for nothing.
pub(crate) fn element_from_code(code: u8) -> Option<ElementType> {
    ElementType::ALL.into_iter().find(|element| element_code(*element) == code)
}

/// The model whose vectors a collection holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// The name that the user gave.
    pub name: String,
    /// What tells this model's vectors from any other's.
    pub fingerprint: String,
}

/// What a collection is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    /// Numbers in a vector, 1 to 65,536. A number of packed bits is a byte, 0 to 255.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// What the elements of vectors are rounded to when they are written, and kept as on disk.
    pub element: ElementType,
    /// The model that makes the vectors, where the collection embeds its own texts.
    pub model: Option<Model>,
    /// What vectors records may have beside their own; at most 16, in the order of their names.
    pub fields: Vec<VectorField>,
}

impl Schema {
    /// A schema for vectors that the user brings, kept as they are.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        let element = ElementType::Float32;
        Self { dimension, metric, element, model: None, fields: Vec::new() }
    }

    /// The same with these fields, in whatever order they come.
    #[must_use]
    pub fn with_fields(self, mut fields: Vec<VectorField>) -> Self {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Self { fields, ..self }
    }

    /// A schema for vectors of `bytes` bytes of packed bits, compared by their Hamming distance.
    pub fn bits(bytes: usize) -> Self {
        Self { element: ElementType::Bits, ..Self::new(bytes, Metric::Hamming) }
    }

    /// Coordinates of a vector, as a user counts them: bits, where they are packed.
    pub fn coordinates(&self) -> usize {
        self.dimension * self.element.coordinates()
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if !(1..=MAX_DIMENSION).contains(&self.dimension) {
            let least = self.element.coordinates();
            return Err(Error::InvalidArgument(format!(
                "a collection's dimension is {least} to {}, not {}",
                MAX_DIMENSION * least,
                self.coordinates()
            )));
        }
        if (self.metric == Metric::Hamming) != (self.element == ElementType::Bits) {
            return Err(Error::InvalidArgument(format!(
                "metric \"hamming\" goes with dtype \"bits\", and that with it: not {:?} with {:?}",
                self.metric.name(),
                self.element.name()
            )));
        }
        if let Some(model) = &self.model {
            if self.element == ElementType::Bits {
                return Err(Error::InvalidArgument(
                    "a model makes vectors of numbers, so its collection cannot hold bits"
                        .to_owned(),
                ));
            }
            for (what, text) in [("name", &model.name), ("fingerprint", &model.fingerprint)] {
                if !(1..=MAX_MODEL_TEXT_BYTES).contains(&text.len()) {
                    return Err(Error::InvalidArgument(format!(
                        "a model's {what} is 1 to {MAX_MODEL_TEXT_BYTES} bytes long, not {}",
                        text.len()
                    )));
                }
            }
        }
        validate_fields(&self.fields)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, element) = (self.metric.name(), self.element.name());
        write!(f, "dimension {}, {metric}, {element}", self.coordinates())?;
        match &self.model {
            Some(model) => write!(f, ", model {} ({})", model.name, model.fingerprint)?,
            None => f.write_str(", no model")?,
        }
        for (number, field) in self.fields.iter().enumerate() {
            write!(f, "{} {field}", if number == 0 { ", fields" } else { "," })?;
        }
        Ok(())
    }
}
