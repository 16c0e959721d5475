//! Which column of a table is what part of a record.

use arrow_schema::{DataType, Schema};
use database::VectorField;
use pyo3::prelude::*;

use crate::errors::Kind;

/// The fields of the struct that says where a record's text stands.
pub(super) const PLACE_FIELDS: [&str; 4] = ["source", "start", "end", "line"];

/// The name of that column.
pub(super) const PLACE: &str = "place";

/// The schema's metadata say under this key what the collection was made with, as JSON.
pub(super) const SCHEMA_KEY: &str = "rust_ai_core";

/// What a caller calls the columns.
pub(crate) struct ColumnNames {
    pub(crate) id: String,
    pub(crate) vector: String,
    pub(crate) text: String,
    pub(crate) metadata: String,
}

/// Positions of a table's columns.
pub(super) struct Layout {
    pub(super) id: usize,
    pub(super) vector: Option<usize>,
    pub(super) text: Option<usize>,
    pub(super) metadata: Option<usize>,
    pub(super) place: Option<usize>,
    /// Positions of the collection's fields, of those that the table has, by their numbers.
    pub(super) fields: Vec<(usize, usize)>,
    /// All others: each is a key of the metadata.
    pub(super) keys: Vec<usize>,
}

impl Layout {
    /// # Errors
    /// ArgumentError for a table without ids, or where a name is not one column's.
    pub(super) fn new(
        schema: &Schema,
        names: &ColumnNames,
        fields: &[VectorField],
    ) -> PyResult<Layout> {
        let listed = || {
            let names: Vec<String> =
                schema.fields().iter().map(|field| format!("{:?}", field.name())).collect();
            names.join(", ")
        };
        for (index, field) in schema.fields().iter().enumerate() {
            if schema.fields()[..index].iter().any(|other| other.name() == field.name()) {
                let name = field.name();
                return Err(Kind::Argument.error(format!("two columns are named {name:?}")));
            }
        }
        let position = |name: &str| schema.index_of(name).ok();
        let id = position(&names.id).ok_or_else(|| {
            Kind::Argument.error(format!(
                "the table has no column {:?} of ids; its columns are {}",
                names.id,
                listed()
            ))
        })?;
        let place = position(PLACE).filter(|&index| is_place(schema.field(index).data_type()));
        let known = [
            Some(id),
            position(&names.vector),
            position(&names.text),
            position(&names.metadata),
            place,
        ];
        let [_, vector, text, metadata, place] = known;
        let of_fields = fields.iter().enumerate().filter_map(|(number, field)| {
            let index = position(&field.name).filter(|index| !known.contains(&Some(*index)))?;
            Some((index, number))
        });
        let fields: Vec<(usize, usize)> = of_fields.collect();
        let is_field = |index: usize| fields.iter().any(|(of_field, _)| *of_field == index);
        let keys = (0..schema.fields().len())
            .filter(|index| !known.contains(&Some(*index)) && !is_field(*index))
            .collect();
        Ok(Layout { id, vector, text, metadata, place, fields, keys })
    }
}

/// A struct of exactly the fields of a place; any other column of that name is metadata.
fn is_place(data_type: &DataType) -> bool {
    let DataType::Struct(fields) = data_type else { return false };
    fields.len() == PLACE_FIELDS.len()
        && PLACE_FIELDS.iter().all(|name| fields.iter().any(|field| field.name() == name))
}
