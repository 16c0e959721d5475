//! Writing the index of a dense field: from a segment's rows, or a graph of what another one has.

use std::io;
use std::ops::ControlFlow;

use kernels::Backend;

use super::super::field::DenseField;
use super::DenseIndex;
use super::header::{Header, VECTORS_START};
use crate::bytes::bytes_of;
use crate::error::{Error, Result};
use crate::graph::{self, BuildOptions, GraphError};
use crate::index_file::Body;
use crate::index_file::write::{BodyWriter, Target};
use crate::schema::Metric;
use crate::score;
use crate::segment::{FallibleRows, error_of, io_error};
use crate::text_search::Identity;
use crate::upkeep::Progress;

/// Writes the vectors of a segment's rows, one behind the other; returns the bytes, where they are
/// in memory. Each row is asked for once, in order. Takes 8 bytes of memory a vector.
///
/// # Errors
/// What the source and the target say.
pub(in crate::vector_fields) fn write_flat<T: Target>(
    target: T,
    identity: Identity,
    name: &str,
    field: &DenseField,
    vector_of: &dyn Fn(u32) -> Result<Option<Vec<f32>>>,
) -> Result<Vec<u8>> {
    let mut writer = BodyWriter::new(target);
    writer.put(&[0; VECTORS_START as usize])?;
    let mut stored = vec![0; field.row_bytes()];
    let (mut rows, mut norms) = (Vec::new(), Vec::new());
    for row in 0..identity.rows {
        let Some(vector) = vector_of(row)? else { continue };
        Backend::active()
            .encode_row(field.element, &vector, &mut stored)
            .map_err(|error| Error::InvalidArgument(format!("row {row}: {error}")))?;
        writer.put(&stored)?;
        rows.push(row);
        if field.metric == Metric::Cosine {
            norms.push(score::inverse_norm(&vector));
        }
    }
    let vector_bytes = writer.position() - VECTORS_START;
    writer.put(&bytes_of(&norms))?;
    let header = Header {
        identity,
        name: name.to_owned(),
        field: *field,
        is_graph: false,
        count: rows.len() as u32,
        vector_bytes,
        body: Body::default(),
    };
    finish(writer, header, &rows)
}

/// Builds a graph of what an index without one has, on the ambient thread pool, and writes an index
/// with it; returns the bytes, where they are in memory.
///
/// # Errors
/// `Corrupt` where the index is damaged, `Interrupted` where `progress` says so, what the target
/// says.
pub(in crate::vector_fields) fn write_graph<T: Target>(
    target: T,
    flat: &DenseIndex,
    options: &BuildOptions,
    progress: Progress<'_>,
) -> Result<Vec<u8>> {
    let mut writer = BodyWriter::new(target);
    writer.put(&[0; VECTORS_START as usize])?;
    let copy = |place, out: &mut [f32]| flat.copy(place, out);
    let rows = FallibleRows::new(flat.count(), &copy);
    let watched = |done, whole| match rows.has_failed() {
        true => ControlFlow::Break(()),
        false => progress(done, whole),
    };
    let built = graph::build(&rows, options, &watched, &mut GraphWriter(&mut writer));
    rows.outcome(built, |error| match error {
        GraphError::Interrupted => {
            Error::Interrupted { doing: format!("indexing {}", flat.path.display()) }
        }
        GraphError::Write(error) => io_error(error, &flat.path),
        other => error_of(other, &flat.path, 0),
    })?;
    let vector_bytes = writer.position() - VECTORS_START;
    let header = Header { is_graph: true, vector_bytes, ..flat.header.clone() };
    let rows: Vec<u32> = (0..flat.count()).map(|place| flat.row(place)).collect();
    finish(writer, header, &rows)
}

/// Writes what is behind the vectors.
fn finish<T: Target>(mut writer: BodyWriter<T>, header: Header, rows: &[u32]) -> Result<Vec<u8>> {
    if header.count < header.identity.rows {
        rows.iter().try_for_each(|row| writer.put(&row.to_le_bytes()))?;
    }
    writer.finish(|body| Header { body, ..header }.encode())
}

/// Takes what a module writes that knows `io::Error` alone.
struct GraphWriter<'a, T>(&'a mut BodyWriter<T>);

impl<T: Target> io::Write for GraphWriter<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
