//! The only SIMD of the project: distances, top-k, matrix products and activations.
