//! The type that activations between two linear layers have in memory.

use kernels::{
    AlignedBuffer, Backend, Bf16, Input, Number, Output, Projections, QuantizedRows, Rows, RowsMut,
};

/// `f32` in the precision of that name; bf16 in the others.
pub(crate) trait Element: Number + Send + Sync {
    fn input(x: Rows<'_, Self>) -> Input<'_>;
    fn output(out: RowsMut<'_, Self>) -> Output<'_>;
    fn projections<'a>(x: Rows<'a, Self>, out: RowsMut<'a, Self>) -> Projections<'a>;
    fn quantize(x: Rows<'_, Self>, codes: &mut QuantizedRows);
}

impl Element for f32 {
    fn input(x: Rows<'_, f32>) -> Input<'_> {
        Input::F32(x)
    }

    fn output(out: RowsMut<'_, f32>) -> Output<'_> {
        Output::F32(out)
    }

    fn projections<'a>(x: Rows<'a, f32>, out: RowsMut<'a, f32>) -> Projections<'a> {
        Projections::F32(x, out)
    }

    fn quantize(x: Rows<'_, f32>, codes: &mut QuantizedRows) {
        Backend::active().quantize_rows(x, codes);
    }
}

impl Element for Bf16 {
    fn input(x: Rows<'_, Bf16>) -> Input<'_> {
        Input::Bf16(x)
    }

    fn output(out: RowsMut<'_, Bf16>) -> Output<'_> {
        Output::Bf16(out)
    }

    fn projections<'a>(x: Rows<'a, Bf16>, out: RowsMut<'a, Bf16>) -> Projections<'a> {
        Projections::Bf16(x, out)
    }

    fn quantize(x: Rows<'_, Bf16>, codes: &mut QuantizedRows) {
        Backend::active().quantize_bf16_rows(x, codes);
    }
}

/// What lies between the linear layers of a layer, `tokens` rows each.
pub(crate) struct Activations<T> {
    /// Queries, keys and values side by side: `3 * hidden` columns.
    pub(crate) query_key_value: AlignedBuffer<T>,
    /// What attention gives: `hidden` columns.
    pub(crate) context: AlignedBuffer<T>,
    /// `intermediate` columns.
    pub(crate) intermediate: AlignedBuffer<T>,
}

impl<T> Default for Activations<T> {
    fn default() -> Self {
        Activations {
            query_key_value: AlignedBuffer::default(),
            context: AlignedBuffer::default(),
            intermediate: AlignedBuffer::default(),
        }
    }
}

impl<T: Element> Activations<T> {
    pub(crate) fn resize(&mut self, tokens: usize, hidden: usize, intermediate: usize) {
        self.query_key_value.resize(tokens * 3 * hidden);
        self.context.resize(tokens * hidden);
        self.intermediate.resize(tokens * intermediate);
    }
}
