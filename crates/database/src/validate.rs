//! What a transaction must satisfy before a byte of it is written.

use std::collections::HashMap;

use kernels::{Backend, ElementType};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::MAX_METADATA_DEPTH;
use crate::record::{Batch, Id, Transaction};
use crate::schema::{Metric, Schema};
use crate::vector_fields::{self, keep_rows};

/// Checks a transaction and drops all but the last record of each id.
pub(crate) fn validate(mut transaction: Transaction, schema: &Schema) -> Result<Transaction> {
    let counts = [
        ("records", transaction.upserts.ids.len()),
        ("deletes", transaction.deletes.len()),
        ("documents", transaction.documents.len()),
    ];
    for (what, count) in counts {
        if u32::try_from(count).is_err() {
            return Err(Error::InvalidArgument(format!(
                "{count} {what} are too many for one transaction: write them in parts"
            )));
        }
    }
    check_columns(&transaction.upserts)?;
    check_vectors(&transaction.upserts, schema.dimension)?;
    let rows = transaction.upserts.ids.len();
    vector_fields::check_columns(&mut transaction.upserts.fields, rows, &schema.fields)?;
    for (row, metadata) in transaction.upserts.metadata.iter().enumerate() {
        if let Some(metadata) = metadata {
            check_metadata(row, metadata)?;
        }
    }
    for (row, place) in transaction.upserts.places.iter().enumerate() {
        if let Some(place) = place
            && place.start > place.end
        {
            return Err(Error::InvalidArgument(format!(
                "row {row}: the place starts at {} but ends at {}",
                place.start, place.end
            )));
        }
    }
    transaction.upserts = last_of_each_id(transaction.upserts, schema.dimension);
    round_vectors(&mut transaction.upserts.vectors, schema)?;
    Ok(transaction)
}

/// Rounds vectors to what the collection keeps, so that a record is the same now and after it has
/// been written to a segment.
fn round_vectors(vectors: &mut [f32], schema: &Schema) -> Result<()> {
    if schema.element == ElementType::Float32 {
        return Ok(());
    }
    let kernels = Backend::active();
    let mut stored = vec![0; schema.element.row_bytes(schema.dimension)];
    for (row, vector) in vectors.chunks_exact_mut(schema.dimension).enumerate() {
        kernels
            .encode_row(schema.element, vector, &mut stored)
            .map_err(|error| Error::InvalidArgument(format!("row {row}: {error}")))?;
        kernels.decode_row(schema.element, &stored, vector);
    }
    Ok(())
}

/// One finite vector of the collection's length, for a search; bytes of it where the metric is
/// Hamming.
pub(crate) fn validate_query(query: &[f32], dimension: usize, metric: Metric) -> Result<()> {
    if query.len() != dimension {
        return Err(Error::Dimension { expected: dimension, found: query.len() });
    }
    check_query_numbers(query, dimension, metric)
}

/// The rows of a query matrix: `count` vectors, one after the other.
pub(crate) fn validate_queries(
    queries: &[f32],
    count: usize,
    dimension: usize,
    metric: Metric,
) -> Result<()> {
    if count.checked_mul(dimension) != Some(queries.len()) {
        return Err(Error::Dimension {
            expected: count.saturating_mul(dimension),
            found: queries.len(),
        });
    }
    check_query_numbers(queries, dimension, metric)
}

fn check_query_numbers(queries: &[f32], dimension: usize, metric: Metric) -> Result<()> {
    check_finite(queries, dimension)?;
    if metric != Metric::Hamming {
        return Ok(());
    }
    let mut bytes = vec![0; dimension];
    queries.chunks_exact(dimension).enumerate().try_for_each(|(number, query)| {
        Backend::active()
            .encode_row(ElementType::Bits, query, &mut bytes)
            .map_err(|error| Error::InvalidArgument(format!("query {number}: {error}")))
    })
}

fn check_columns(batch: &Batch) -> Result<()> {
    let expected = batch.ids.len();
    let columns = [
        ("texts", batch.texts.len()),
        ("metadata", batch.metadata.len()),
        ("places", batch.places.len()),
    ];
    for (column, found) in columns {
        if found != 0 && found != expected {
            return Err(Error::InvalidArgument(format!(
                "{expected} ids but {found} {column}: give one a record, or none at all"
            )));
        }
    }
    Ok(())
}

fn check_vectors(batch: &Batch, dimension: usize) -> Result<()> {
    let rows = batch.ids.len();
    if rows.checked_mul(dimension) != Some(batch.vectors.len()) {
        // A matrix of the right height has rows of the wrong length: say that length.
        let (expected, found) = match batch.vectors.len().checked_rem(rows) {
            Some(0) => (dimension, batch.vectors.len() / rows),
            _ => (rows.saturating_mul(dimension), batch.vectors.len()),
        };
        return Err(Error::Dimension { expected, found });
    }
    check_finite(&batch.vectors, dimension)
}

fn check_finite(vectors: &[f32], dimension: usize) -> Result<()> {
    // Without a way out in its middle, a row's test is one of whole registers.
    let is_finite = |row: &[f32]| row.iter().fold(true, |so_far, x| so_far & x.is_finite());
    match vectors.chunks(dimension).position(|row| !is_finite(row)) {
        Some(row) => Err(Error::NonFinite { row }),
        None => Ok(()),
    }
}

fn check_metadata(row: usize, metadata: &Value) -> Result<()> {
    if !metadata.is_object() {
        return Err(Error::InvalidArgument(format!(
            "row {row}: metadata must be a JSON object, not {}",
            kind_of(metadata)
        )));
    }
    if !is_shallow(metadata, MAX_METADATA_DEPTH) {
        return Err(Error::InvalidArgument(format!(
            "row {row}: metadata are nested more than {MAX_METADATA_DEPTH} levels deep"
        )));
    }
    Ok(())
}

/// Never recurses beyond `depth`, however deep the value is.
pub(crate) fn is_shallow(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_shallow(item, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|item| is_shallow(item, depth - 1)),
        _ => true,
    }
}

/// What JSON calls this kind of value.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn last_of_each_id(batch: Batch, dimension: usize) -> Batch {
    // Numbers mostly ascend, and then none comes twice.
    let ascends = |pair: &[Id]| matches!(pair, [Id::Int(a), Id::Int(b)] if a < b);
    if batch.ids.windows(2).all(ascends) {
        return batch;
    }
    let last: HashMap<&Id, usize> = batch.ids.iter().zip(0..).collect();
    if last.len() == batch.ids.len() {
        return batch;
    }
    let keep: Vec<bool> = batch.ids.iter().zip(0..).map(|(id, row)| last[id] == row).collect();
    let vectors = batch
        .vectors
        .chunks_exact(dimension)
        .zip(&keep)
        .filter(|(_, keep)| **keep)
        .flat_map(|(row, _)| row)
        .copied()
        .collect();
    Batch {
        ids: kept(batch.ids, &keep),
        vectors,
        texts: kept(batch.texts, &keep),
        metadata: kept(batch.metadata, &keep),
        places: kept(batch.places, &keep),
        fields: keep_rows(batch.fields, &keep),
    }
}

fn kept<T>(column: Vec<T>, keep: &[bool]) -> Vec<T> {
    column.into_iter().zip(keep).filter(|(_, keep)| **keep).map(|(entry, _)| entry).collect()
}
