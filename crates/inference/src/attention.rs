//! Attention over the texts of a pack, each for itself.

use kernels::{AttentionWorkspace, Backend, RelativeBias, Rows, RowsMut};

use crate::activations::Element;

/// The shape of the heads.
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
}

impl Attention {
    /// Fills `context`, `hidden` columns, from `query_key_value`, three times as wide, for texts of
    /// `lengths` tokens one after the other. `bias` is added to the scores. A text's heads are shared
    /// out between as many threads as there are workspaces.
    pub(crate) fn apply<T: Element>(
        &self,
        lengths: impl Iterator<Item = usize>,
        query_key_value: &[T],
        context: &mut [T],
        bias: Option<RelativeBias<'_>>,
        workspaces: &mut [AttentionWorkspace],
    ) {
        let (mut x, mut out) = (query_key_value, context);
        for length in lengths {
            let (text, x_rest) = x.split_at(length * 3 * self.hidden);
            let (to, out_rest) = out.split_at_mut(length * self.hidden);
            let text = Rows::new(text, length, 3 * self.hidden, 3 * self.hidden);
            let to = RowsMut::new(to, length, self.hidden, self.hidden);
            self.attend(text, 0, to, bias, workspaces);
            (x, out) = (x_rest, out_rest);
        }
    }

    /// The heads from `first` on that `out` has columns for.
    fn attend<T: Element>(
        &self,
        text: Rows<'_, T>,
        first: usize,
        out: RowsMut<'_, T>,
        bias: Option<RelativeBias<'_>>,
        workspaces: &mut [AttentionWorkspace],
    ) {
        let size = self.hidden / self.heads;
        let heads = out.columns() / size;
        let parts = workspaces.len().min(heads);
        if parts < 2 {
            let projections = T::projections(text, out);
            Backend::active().attend(projections, self.heads, first, bias, &mut workspaces[0]);
            return;
        }
        let left_heads = heads * (parts / 2) / parts;
        let (left, right) = out.split_columns(left_heads * size);
        let (left_workspaces, right_workspaces) = workspaces.split_at_mut(parts / 2);
        rayon::join(
            || self.attend(text, first, left, bias, left_workspaces),
            || self.attend(text, first + left_heads, right, bias, right_workspaces),
        );
    }
}
