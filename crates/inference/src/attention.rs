//! Multi-head self-attention over the tokens of one text.

use kernels::{Activation, Backend, PackedMatrix, Rows, RowsMut, matmul};

/// Rows of queries handled at a time: their scores against 512 keys are 128 KiB and stay in the
/// second-level cache, whatever the length of the text.
const QUERY_BLOCK: usize = 64;

/// The shape of the heads.
pub(crate) struct Attention {
    heads: usize,
    head: usize,
    hidden: usize,
    scale: f32,
}

/// Buffers of one head, reused by the next.
pub(crate) struct AttentionWorkspace {
    keys: PackedMatrix,
    values: PackedMatrix,
    scores: Vec<f32>,
}

impl Default for AttentionWorkspace {
    fn default() -> Self {
        let packed = || PackedMatrix::new(Backend::active());
        AttentionWorkspace { keys: packed(), values: packed(), scores: Vec::new() }
    }
}

impl Attention {
    pub(crate) fn new(heads: usize, hidden: usize) -> Attention {
        let head = hidden / heads;
        Attention { heads, head, hidden, scale: 1.0 / (head as f32).sqrt() }
    }

    /// `context = softmax(Q K^T / sqrt(head)) V` a head. `query_key_value` has three times `hidden`
    /// columns, `context` has `hidden`.
    pub(crate) fn apply(
        &self,
        query_key_value: &[f32],
        context: &mut [f32],
        workspace: &mut AttentionWorkspace,
    ) {
        let Attention { heads, head, hidden, scale } = *self;
        let stride = 3 * hidden;
        let tokens = query_key_value.len() / stride;
        let AttentionWorkspace { keys, values, scores } = workspace;
        for number in 0..heads {
            let column = number * head;
            let part = |which: usize, first: usize, count: usize| {
                let from = first * stride + which * hidden + column;
                Rows::new(&query_key_value[from..], count, head, stride)
            };
            keys.pack_transposed(part(1, 0, tokens));
            values.pack(part(2, 0, tokens));
            let mut first = 0;
            while first < tokens {
                let count = QUERY_BLOCK.min(tokens - first);
                scores.resize(count * tokens, 0.0);
                matmul(
                    part(0, first, count),
                    keys,
                    None,
                    Activation::Identity,
                    RowsMut::new(scores, count, tokens, tokens),
                );
                Backend::active().softmax_rows(scores, tokens, scale);
                matmul(
                    Rows::new(scores, count, tokens, tokens),
                    values,
                    None,
                    Activation::Identity,
                    RowsMut::new(&mut context[first * hidden + column..], count, head, hidden),
                );
                first += count;
            }
        }
    }
}
