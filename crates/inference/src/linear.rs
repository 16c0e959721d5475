//! A linear layer in some precision, on one thread or several.

use kernels::{Activation, Backend, Input, Output, PackedMatrix, Precision, Rows};

/// Weights and bias of a layer, packed for the product.
pub(crate) struct Linear(PackedMatrix);

impl Linear {
    /// `outputs x inputs` weights, as they are stored.
    pub(crate) fn new(precision: Precision, weights: &[f32], bias: &[f32]) -> Linear {
        let (outputs, inputs) = (bias.len(), weights.len() / bias.len().max(1));
        let weights = Rows::new(weights, outputs, inputs, inputs);
        Linear(PackedMatrix::new(Backend::active(), precision, weights, Some(bias)))
    }

    /// `out = activation(x * w + bias)`, its columns shared out between `parts` threads.
    pub(crate) fn apply(
        &self,
        x: Input<'_>,
        activation: Activation,
        out: Output<'_>,
        parts: usize,
    ) {
        self.apply_from(0, x, activation, out, parts);
    }

    fn apply_from(
        &self,
        first: usize,
        x: Input<'_>,
        activation: Activation,
        out: Output<'_>,
        parts: usize,
    ) {
        let width = self.0.panel_width();
        let panels = out.shape().1.div_ceil(width);
        if parts < 2 || panels < 2 {
            kernels::matmul(x, &self.0, first, activation, out);
            return;
        }
        let left_parts = parts / 2;
        let column = (panels * left_parts / parts).max(1) * width;
        let (left, right) = out.split_columns(column);
        rayon::join(
            || self.apply_from(first, x, activation, left, left_parts),
            || self.apply_from(first + column, x, activation, right, parts - left_parts),
        );
    }
}
