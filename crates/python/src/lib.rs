//! The Python extension module `rust_ai_core._core`: a thin layer over the other crates, one file a
//! noun. Python's own part of the package is in `python/rust_ai_core`.
//!
//! Every call that takes more than a few microseconds runs on a thread pool with the GIL released
//! (`threads`); Python objects are read before and made after, never from a worker thread.

mod arrays;
mod arrow;
mod bits;
mod chunking;
mod collection;
mod columns;
mod convert;
mod damage;
mod database;
mod document;
mod encoder;
mod errors;
mod fields;
mod float_list;
mod index;
mod ingest;
mod one_to_many;
mod optimize;
mod pairwise;
mod pending;
mod progress;
mod queries;
mod record;
mod record_iterator;
mod reranker;
mod rows;
mod shared_encoder;
mod similarity;
mod snapshot;
mod tables;
mod text_search;
mod threads;
mod token_batch;
mod tokenizer;
mod vector;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native half of rust_ai_core.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    kernels::Backend::try_active().map_err(PyImportError::new_err)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;

    module.add_function(wrap_pyfunction!(similarity::process_embedding, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::fast_vector_similarity, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::dot, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::squared_l2, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::l2, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::cosine, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::norm, module)?)?;
    module.add_function(wrap_pyfunction!(one_to_many::dot_many, module)?)?;
    module.add_function(wrap_pyfunction!(one_to_many::cosine_many, module)?)?;
    module.add_function(wrap_pyfunction!(one_to_many::squared_l2_many, module)?)?;
    module.add_function(wrap_pyfunction!(bits::hamming, module)?)?;
    module.add_function(wrap_pyfunction!(one_to_many::hamming_many, module)?)?;
    module.add_function(wrap_pyfunction!(one_to_many::top_k, module)?)?;
    module.add_function(wrap_pyfunction!(pairwise::pairwise, module)?)?;
    module.add_function(wrap_pyfunction!(similarity::kernel_backend, module)?)?;
    module.add_function(wrap_pyfunction!(threads::thread_count, module)?)?;

    module.add_class::<encoder::Encoder>()?;
    module.add_class::<reranker::Reranker>()?;
    module.add_class::<pending::Pending>()?;
    module.add_class::<pending::Wakeup>()?;
    module.add_class::<tokenizer::Tokenizer>()?;
    module.add_class::<token_batch::TokenBatch>()?;
    module.add_function(wrap_pyfunction!(chunking::chunk, module)?)?;
    module.add_function(wrap_pyfunction!(document::parse, module)?)?;
    module.add_function(wrap_pyfunction!(document::parse_text, module)?)?;
    module.add_class::<document::Document>()?;
    module.add_class::<document::Chunk>()?;

    module.add_function(wrap_pyfunction!(database::open, module)?)?;
    module.add_function(wrap_pyfunction!(database::restore, module)?)?;
    module.add_function(wrap_pyfunction!(database::verify, module)?)?;
    module.add_class::<database::Database>()?;
    module.add_class::<database::VerifyReport>()?;
    module.add_class::<snapshot::Snapshot>()?;
    module.add_class::<collection::Collection>()?;
    module.add_class::<arrow::ArrowStream>()?;
    module.add_class::<index::Index>()?;
    module.add_class::<fields::VectorField>()?;
    module.add_class::<fields::SparseField>()?;
    module.add_class::<fields::SparseVector>()?;
    module.add_class::<record::Record>()?;
    module.add_class::<record::Hit>()?;
    module.add_class::<ingest::IngestProgress>()?;
    module.add_class::<ingest::IngestReport>()?;
    Ok(())
}
