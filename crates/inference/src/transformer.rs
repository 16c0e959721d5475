//! The forward pass: token ids of several texts, packed without padding, to token vectors.

use std::path::Path;

use kernels::{
    Activation, AlignedBuffer, AttentionWorkspace, Backend, Bf16, Input, LayerNorm, Output,
    Precision, QuantizedRows, Rows, RowsMut,
};

use crate::activations::{Activations, Element};
use crate::attention::Attention;
use crate::config::{Config, Family};
use crate::distance_bias::DistanceBias;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::weights::Weights;

/// The learnt part of a layer normalisation.
struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    /// Normalises every row of x; `narrow` gets the result rounded.
    fn apply(&self, x: &mut [f32], narrow: Option<&mut [Bf16]>) {
        let norm = LayerNorm { gain: &self.gain, bias: &self.bias, epsilon: self.epsilon };
        Backend::active().layer_norm_rows(x, norm, narrow);
    }
}

struct Layer {
    /// Query, key and value side by side: one product of three times the width.
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

/// The vectors of words: half of a small model's weights, of which a text reads few. So the narrow
/// precisions keep them in bf16, to save memory.
enum WordRows {
    Single(Vec<f32>),
    Narrow(Vec<Bf16>),
}

impl WordRows {
    /// `row = the word's vector + position`
    fn embed(&self, id: u32, position: &[f32], row: &mut [f32]) {
        let start = id as usize * row.len();
        match self {
            WordRows::Single(words) => {
                for ((sum, word), position) in row.iter_mut().zip(&words[start..]).zip(position) {
                    *sum = word + position;
                }
            }
            WordRows::Narrow(words) => {
                for ((sum, word), position) in row.iter_mut().zip(&words[start..]).zip(position) {
                    *sum = word.to_f32() + position;
                }
            }
        }
    }
}

/// The weights of a BERT-class encoder.
pub(crate) struct Transformer {
    config: Config,
    precision: Precision,
    /// `vocabulary x hidden`
    words: WordRows,
    /// `positions x hidden`, with the vector of token type 0 added.
    positions: Vec<f32>,
    /// What a token of type 1 has more than one of type 0, where the model has types.
    second_type: Option<Vec<f32>>,
    /// MPNet's attention bias.
    distances: Option<DistanceBias>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    attention: Attention,
}

/// Token ids as the model sees them.
pub(crate) trait Sequence {
    fn ids(&self) -> &[u32];

    /// The first token of type 1: where the second text of a pair begins.
    fn second(&self) -> usize {
        self.ids().len()
    }
}

impl Sequence for Vec<u32> {
    fn ids(&self) -> &[u32] {
        self
    }
}

/// Buffers of a forward pass, kept between calls: none is allocated in steady state.
#[derive(Default)]
pub(crate) struct Workspace {
    /// `tokens x hidden`: what flows from layer to layer, and the result.
    pub(crate) states: AlignedBuffer<f32>,
    /// The states rounded to bf16, in that precision.
    narrow: AlignedBuffer<Bf16>,
    /// The input of a linear layer as bytes, in that precision.
    codes: QuantizedRows,
    singles: Activations<f32>,
    halves: Activations<Bf16>,
    attention: Vec<AttentionWorkspace>,
}

/// The tensor names of a family; `{}` is the layer's number.
struct Names {
    embedding_norm: &'static str,
    layer: &'static str,
    projections: [&'static str; 3],
    attention_output: &'static str,
    attention_norm: &'static str,
    intermediate: &'static str,
    output: &'static str,
    output_norm: &'static str,
}

impl Names {
    fn of(family: Family) -> Names {
        match family {
            Family::Bert => Names {
                embedding_norm: "embeddings.LayerNorm",
                layer: "encoder.layer",
                projections: ["attention.self.query", "attention.self.key", "attention.self.value"],
                attention_output: "attention.output.dense",
                attention_norm: "attention.output.LayerNorm",
                intermediate: "intermediate.dense",
                output: "output.dense",
                output_norm: "output.LayerNorm",
            },
            Family::Mpnet => Names {
                embedding_norm: "embeddings.LayerNorm",
                layer: "encoder.layer",
                projections: ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
                attention_output: "attention.attn.o",
                attention_norm: "attention.LayerNorm",
                intermediate: "intermediate.dense",
                output: "output.dense",
                output_norm: "output.LayerNorm",
            },
            Family::DistilBert => Names {
                embedding_norm: "embeddings.LayerNorm",
                layer: "transformer.layer",
                projections: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
                attention_output: "attention.out_lin",
                attention_norm: "sa_layer_norm",
                intermediate: "ffn.lin1",
                output: "ffn.lin2",
                output_norm: "output_layer_norm",
            },
        }
    }
}

impl Transformer {
    /// The name, without prefix, of a tensor that every model has.
    pub(crate) const WORDS: &str = "embeddings.word_embeddings.weight";

    /// Takes the weights out of a safetensors file and packs them.
    pub(crate) fn new(path: &Path, config: Config, precision: Precision) -> Result<Transformer> {
        let (group, head) = (precision.per_word(), config.hidden / config.heads);
        if [config.hidden, config.intermediate].iter().any(|size| !size.is_multiple_of(group))
            || (precision != Precision::F32 && !head.is_multiple_of(2))
        {
            return Err(Error::Unsupported {
                path: path.to_path_buf(),
                reason: format!(
                    "its layers do not come in the groups of {group} that {precision:?} multiplies; \
                     use f32"
                ),
            });
        }
        let weights = Weights::open(path, Self::WORDS)?;
        let names = Names::of(config.family);
        let (hidden, intermediate) = (config.hidden, config.intermediate);

        let linear = |name: &str, inputs: usize, outputs: usize| -> Result<Linear> {
            let matrix = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
            let bias = weights.tensor(&format!("{name}.bias"), &[outputs])?;
            Ok(Linear::new(precision, &matrix, &bias))
        };
        let norm = |name: &str| -> Result<Norm> {
            // Checkpoints converted from TensorFlow call them gamma and beta.
            let either = |new: &str, old: &str| -> Result<Vec<f32>> {
                let old = format!("{name}.{old}");
                let found =
                    if weights.rows(&old).is_some() { old } else { format!("{name}.{new}") };
                weights.tensor(&found, &[hidden])
            };
            Ok(Norm {
                gain: either("weight", "gamma")?,
                bias: either("bias", "beta")?,
                epsilon: config.epsilon,
            })
        };

        let shape = [config.vocabulary, hidden];
        let words = match precision {
            Precision::F32 => WordRows::Single(weights.tensor(Self::WORDS, &shape)?),
            _ => WordRows::Narrow(weights.narrow_tensor(Self::WORDS, &shape)?),
        };
        let mut positions =
            weights.tensor("embeddings.position_embeddings.weight", &[config.positions, hidden])?;
        const TYPES: &str = "embeddings.token_type_embeddings.weight";
        let mut second_type = None;
        if let Some(types) = weights.rows(TYPES) {
            let table = weights.tensor(TYPES, &[types, hidden])?;
            if types > 1 {
                let (first, second) = table[..2 * hidden].split_at(hidden);
                second_type = Some(second.iter().zip(first).map(|(b, a)| b - a).collect());
            }
            for position in positions.chunks_exact_mut(hidden) {
                Backend::active().add_assign(position, &table[..hidden]);
            }
        }

        let mut layers = Vec::with_capacity(config.layers);
        for number in 0..config.layers {
            let name = |part: &str| format!("{}.{number}.{part}", names.layer);
            let mut matrix = Vec::with_capacity(3 * hidden * hidden);
            let mut bias = Vec::with_capacity(3 * hidden);
            for projection in names.projections {
                let part = name(projection);
                matrix.extend(weights.tensor(&format!("{part}.weight"), &[hidden, hidden])?);
                bias.extend(weights.tensor(&format!("{part}.bias"), &[hidden])?);
            }
            layers.push(Layer {
                query_key_value: Linear::new(precision, &matrix, &bias),
                attention_output: linear(&name(names.attention_output), hidden, hidden)?,
                attention_norm: norm(&name(names.attention_norm))?,
                intermediate: linear(&name(names.intermediate), hidden, intermediate)?,
                output: linear(&name(names.output), intermediate, hidden)?,
                output_norm: norm(&name(names.output_norm))?,
            });
        }
        let embedding_norm = norm(names.embedding_norm)?;
        let attention = Attention { heads: config.heads, hidden };
        let distances = match config.distance_buckets {
            Some(buckets) => {
                const BIAS: &str = "encoder.relative_attention_bias.weight";
                let biases = weights.tensor(BIAS, &[buckets, config.heads])?;
                Some(DistanceBias::new(&biases, config.heads, config.positions))
            }
            None => None,
        };
        Ok(Transformer {
            config,
            precision,
            words,
            positions,
            second_type,
            distances,
            embedding_norm,
            layers,
            attention,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Runs the texts, each within the model's limits, and leaves one row of `hidden` floats a
    /// token in `workspace.states`, texts one after the other. Each step is shared out between
    /// `parts` threads; the result does not depend on how many.
    pub(crate) fn forward<S: Sequence>(
        &self,
        texts: &[S],
        parts: usize,
        workspace: &mut Workspace,
    ) {
        let tokens: usize = texts.iter().map(|text| text.ids().len()).sum();
        workspace.attention.resize_with(parts.max(1), AttentionWorkspace::default);
        workspace.states.resize(tokens * self.config.hidden);
        let narrow = if self.precision == Precision::Bf16 { tokens } else { 0 };
        workspace.narrow.resize(narrow * self.config.hidden);
        self.embed(texts, workspace.states.as_mut_slice());
        let lengths = || texts.iter().map(|text| text.ids().len());
        let Workspace { states, narrow, codes, singles, halves, attention } = workspace;
        let states = States { rows: states.as_mut_slice(), narrow: narrow.as_mut_slice(), codes };
        match self.precision {
            Precision::F32 => self.run(lengths, states, singles, attention),
            Precision::Bf16 | Precision::Int8 => self.run(lengths, states, halves, attention),
        }
    }

    fn embed<S: Sequence>(&self, texts: &[S], states: &mut [f32]) {
        let hidden = self.config.hidden;
        let mut rows = states.chunks_exact_mut(hidden);
        for text in texts {
            for ((at, &id), row) in text.ids().iter().enumerate().zip(&mut rows) {
                let place = (at + self.config.first_position) * hidden;
                let position = &self.positions[place..][..hidden];
                self.words.embed(id, position, row);
                if let Some(second_type) = self.second_type.as_ref().filter(|_| at >= text.second())
                {
                    Backend::active().add_assign(row, second_type);
                }
            }
        }
    }

    fn run<T: Element, Lengths: Iterator<Item = usize>>(
        &self,
        lengths: impl Fn() -> Lengths,
        mut states: States<'_>,
        between: &mut Activations<T>,
        attention: &mut [AttentionWorkspace],
    ) {
        let (hidden, intermediate) = (self.config.hidden, self.config.intermediate);
        let (tokens, parts) = (states.rows.len() / hidden, attention.len());
        between.resize(tokens, hidden, intermediate);
        let Activations { query_key_value, context, intermediate: inner } = between;
        let query_key_value = query_key_value.as_mut_slice();
        let (context, inner) = (context.as_mut_slice(), inner.as_mut_slice());
        states.normalize(&self.embedding_norm);
        for layer in &self.layers {
            let out = T::output(RowsMut::new(query_key_value, tokens, 3 * hidden, 3 * hidden));
            let x = states.input(tokens, self.precision);
            layer.query_key_value.apply(x, Activation::Identity, out, parts);

            let bias = self.distances.as_ref().map(DistanceBias::view);
            self.attention.apply(lengths(), query_key_value, context, bias, attention);

            let x = Rows::new(context, tokens, hidden, hidden);
            states.add(x, &layer.attention_output, self.precision, parts);
            states.normalize(&layer.attention_norm);

            let out = T::output(RowsMut::new(inner, tokens, intermediate, intermediate));
            let x = states.input(tokens, self.precision);
            layer.intermediate.apply(x, self.config.activation, out, parts);

            let x = Rows::new(inner, tokens, intermediate, intermediate);
            states.add(x, &layer.output, self.precision, parts);
            states.normalize(&layer.output_norm);
        }
    }
}

/// The states of a pack's tokens, and what linear layers read of them.
struct States<'a> {
    rows: &'a mut [f32],
    narrow: &'a mut [Bf16],
    codes: &'a mut QuantizedRows,
}

impl States<'_> {
    fn normalize(&mut self, norm: &Norm) {
        let narrow = (!self.narrow.is_empty()).then_some(&mut *self.narrow);
        norm.apply(self.rows, narrow);
    }

    /// The states as the input of a linear layer.
    fn input(&mut self, tokens: usize, precision: Precision) -> Input<'_> {
        let columns = self.rows.len() / tokens.max(1);
        match precision {
            Precision::F32 => Input::F32(Rows::new(self.rows, tokens, columns, columns)),
            Precision::Bf16 => Input::Bf16(Rows::new(self.narrow, tokens, columns, columns)),
            Precision::Int8 => {
                f32::quantize(Rows::new(self.rows, tokens, columns, columns), self.codes);
                Input::Int8(self.codes.view())
            }
        }
    }

    /// Adds what a linear layer makes of x: the residual connection.
    fn add<T: Element>(
        &mut self,
        x: Rows<'_, T>,
        layer: &Linear,
        precision: Precision,
        parts: usize,
    ) {
        let columns = self.rows.len() / x.count().max(1);
        let out = Output::AddTo(RowsMut::new(self.rows, x.count(), columns, columns));
        let input = match precision {
            Precision::F32 | Precision::Bf16 => T::input(x),
            Precision::Int8 => {
                T::quantize(x, self.codes);
                Input::Int8(self.codes.view())
            }
        };
        layer.apply(input, Activation::Identity, out, parts);
    }
}
