//! The only SIMD of the project: distances, top-k, matrix products and activations.
//!
//! Every kernel is written once (`distance`, `row_score`, `bits`, `quantized`, `matmul`, ...) over
//! traits of vector instructions (`simd`), which each instruction set implements in a file of its
//! own. A [`Backend`] is an instruction set that this CPU was seen to have; kernels are its methods.
//! The free functions here run on [`Backend::active`].

mod activation;
mod aligned;
mod arithmetic;
mod attention;
mod backend;
mod bits;
mod byte_rows;
mod dispatch;
mod distance;
mod element;
mod elementary;
mod fine_codes;
mod layer_norm;
mod matmul;
mod narrow;
mod neighbour_scan;
mod product_distances;
mod quantized;
mod quantized_rows;
mod rotation;
mod row_codec;
mod row_score;
mod simd;
mod sorted;
mod stored_rows;
mod top_k;

pub use activation::Activation;
pub use aligned::{AlignedBuffer, Number};
pub use attention::{AttentionWorkspace, Projections, RelativeBias};
pub use backend::{BACKEND_VARIABLE, Backend};
pub use distance::{Float, Narrow};
pub use element::{ElementType, bytes_of};
pub use fine_codes::{FineQuery, FineSums, fine_code_bytes};
pub use layer_norm::LayerNorm;
pub use matmul::{Input, Output, PackedMatrix, Precision, Rows, RowsMut, matmul};
pub use narrow::{Bf16, F16};
pub use neighbour_scan::{
    NEIGHBOURS_PER_BLOCK, NeighbourBlock, ResidualSums, ScanTables, block_code_bytes,
};
pub use product_distances::{DISTANCES_PER_MINIMUM, Lengths};
pub use quantized::{MAXIMUM_DIMENSION, QuantizedQuery, RowFactors, code_stride, quantize_row};
pub use quantized_rows::{QuantizedRows, QuantizedView};
pub use rotation::Rotation;
pub use row_codec::Unstorable;
pub use row_score::{Measure, RowScorer};
pub use sorted::SortedPairs;
pub use stored_rows::StoredRows;
pub use top_k::TopK;

/// [`Backend::dot`] on the active backend.
///
/// # Panics
/// The lengths differ.
#[inline]
pub fn dot<T: Float>(a: &[T], b: &[T]) -> T {
    Backend::active().dot(a, b)
}

/// [`Backend::squared_l2`] on the active backend.
///
/// # Panics
/// The lengths differ.
#[inline]
pub fn squared_l2<T: Float>(a: &[T], b: &[T]) -> T {
    Backend::active().squared_l2(a, b)
}

/// [`Backend::cosine`] on the active backend.
///
/// # Panics
/// The lengths differ.
#[inline]
pub fn cosine<T: Float>(a: &[T], b: &[T]) -> T {
    Backend::active().cosine(a, b)
}

/// [`Backend::norm`] on the active backend.
#[inline]
pub fn norm<T: Float>(a: &[T]) -> T {
    Backend::active().norm(a)
}
