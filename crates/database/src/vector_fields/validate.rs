//! What the vectors of a batch must satisfy, field by field.

use kernels::Backend;

use super::field::{DenseField, FieldKind, VectorField, field_named};
use super::vectors::{FieldVector, FieldVectors};
use crate::error::{Error, Result};
use crate::record::FieldColumns;

/// Checks the columns of so many records, and rounds dense vectors to what their fields keep.
///
/// # Errors
/// `InvalidArgument`, `FieldDimension` and `FieldNonFinite` name the field and the row.
pub(crate) fn check_columns(
    columns: &mut FieldColumns,
    rows: usize,
    fields: &[VectorField],
) -> Result<()> {
    for (name, column) in columns {
        let (_, kind) = field_named(fields, name)?;
        if column.len() != rows {
            return Err(Error::InvalidArgument(format!(
                "{rows} ids but {} vectors in field '{name}': give one a record, or None",
                column.len()
            )));
        }
        for (row, vector) in column.iter_mut().enumerate() {
            match (vector, kind) {
                (None, _) | (Some(FieldVector::Sparse(_)), FieldKind::Sparse) => {}
                (Some(FieldVector::Dense(numbers)), FieldKind::Dense(dense)) => {
                    round(numbers, &dense, name, row)?;
                }
                (Some(_), kind) => {
                    let wanted = match kind {
                        FieldKind::Sparse => "sparse vectors",
                        FieldKind::Dense(_) => "vectors of numbers, not sparse ones",
                    };
                    return Err(Error::InvalidArgument(format!(
                        "field '{name}', row {row}: the field takes {wanted}"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn round(numbers: &mut [f32], dense: &DenseField, name: &str, row: usize) -> Result<()> {
    let field = || name.to_owned();
    if numbers.len() != dense.dimension {
        let (expected, found) = (dense.dimension, numbers.len());
        return Err(Error::FieldDimension { field: field(), row, expected, found });
    }
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err(Error::FieldNonFinite { field: field(), row });
    }
    let mut stored = vec![0; dense.row_bytes()];
    let kernels = Backend::active();
    kernels
        .encode_row(dense.element, numbers, &mut stored)
        .map_err(|error| Error::InvalidArgument(format!("field '{name}', row {row}: {error}")))?;
    kernels.decode_row(dense.element, &stored, numbers);
    Ok(())
}

/// The columns without the rows that are not kept.
pub(crate) fn keep_rows(columns: FieldColumns, keep: &[bool]) -> FieldColumns {
    let kept = |column: Vec<Option<FieldVector>>| {
        column.into_iter().zip(keep).filter(|(_, keep)| **keep).map(|(vector, _)| vector).collect()
    };
    columns.into_iter().map(|(name, column)| (name, kept(column))).collect()
}

/// What each of so many records has in the fields; the columns were checked.
pub(crate) fn take_rows(
    columns: FieldColumns,
    rows: usize,
    fields: &[VectorField],
) -> Result<Vec<FieldVectors>> {
    // Columns are in the order of their names, and so are fields.
    let mut of_rows: Vec<Vec<(u8, FieldVector)>> = vec![Vec::new(); rows];
    for (name, column) in columns {
        let (number, _) = field_named(fields, &name)?;
        for (row, vector) in of_rows.iter_mut().zip(column) {
            row.extend(vector.map(|vector| (number, vector)));
        }
    }
    Ok(of_rows.into_iter().map(FieldVectors::new).collect())
}
