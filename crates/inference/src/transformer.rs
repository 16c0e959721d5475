//! The forward pass: token ids of several texts, packed without padding, to token vectors.

use std::path::Path;

use kernels::{Activation, Backend, PackedMatrix, Rows, RowsMut, matmul};

use crate::attention::{Attention, AttentionWorkspace};
use crate::config::{Config, Family};
use crate::error::Result;
use crate::weights::Weights;

/// A linear layer with its weights packed for the matrix product.
struct Linear {
    weights: PackedMatrix,
    bias: Vec<f32>,
}

impl Linear {
    /// `outputs x inputs` weights, as they are stored.
    fn new(weights: &[f32], bias: Vec<f32>, inputs: usize) -> Linear {
        let mut packed = PackedMatrix::new(Backend::active());
        packed.pack_transposed(Rows::new(weights, bias.len(), inputs, inputs));
        Linear { weights: packed, bias }
    }

    fn apply(&self, x: &[f32], activation: Activation, out: &mut [f32]) {
        let (depth, columns) = (self.weights.depth(), self.weights.columns());
        let count = x.len() / depth;
        matmul(
            Rows::new(x, count, depth, depth),
            &self.weights,
            Some(&self.bias),
            activation,
            RowsMut::new(out, count, columns, columns),
        );
    }
}

struct LayerNorm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    fn apply(&self, x: &mut [f32], residual: Option<&[f32]>) {
        Backend::active().layer_norm_rows(x, residual, &self.gain, &self.bias, self.epsilon);
    }
}

struct Layer {
    /// Query, key and value side by side: one product of three times the width.
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

/// The weights of a BERT-class encoder.
pub(crate) struct Transformer {
    config: Config,
    /// `vocabulary x hidden`
    words: Vec<f32>,
    /// `positions x hidden`, with the vector of token type 0 added: it is the only type in use.
    positions: Vec<f32>,
    embedding_norm: LayerNorm,
    layers: Vec<Layer>,
    attention: Attention,
}

/// Buffers of a forward pass, kept between calls: none is allocated in steady state.
#[derive(Default)]
pub(crate) struct Workspace {
    /// `tokens x hidden`: what flows from layer to layer, and the result.
    pub(crate) states: Vec<f32>,
    update: Vec<f32>,
    query_key_value: Vec<f32>,
    context: Vec<f32>,
    intermediate: Vec<f32>,
    attention: AttentionWorkspace,
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
    /// Takes the weights out of the bytes of a safetensors file at `path` and packs them.
    pub(crate) fn new(path: &Path, bytes: &[u8], config: Config) -> Result<Transformer> {
        const WORDS: &str = "embeddings.word_embeddings.weight";
        let weights = Weights::new(path, bytes, WORDS)?;
        let names = Names::of(config.family);
        let (hidden, intermediate) = (config.hidden, config.intermediate);

        let linear = |name: &str, inputs: usize, outputs: usize| -> Result<Linear> {
            let matrix = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
            let bias = weights.tensor(&format!("{name}.bias"), &[outputs])?;
            Ok(Linear::new(&matrix, bias, inputs))
        };
        let norm = |name: &str| -> Result<LayerNorm> {
            // Checkpoints converted from TensorFlow call them gamma and beta.
            let either = |new: &str, old: &str| -> Result<Vec<f32>> {
                let old = format!("{name}.{old}");
                let found =
                    if weights.rows(&old).is_some() { old } else { format!("{name}.{new}") };
                weights.tensor(&found, &[hidden])
            };
            Ok(LayerNorm {
                gain: either("weight", "gamma")?,
                bias: either("bias", "beta")?,
                epsilon: config.epsilon,
            })
        };

        let words = weights.tensor(WORDS, &[config.vocabulary, hidden])?;
        let mut positions =
            weights.tensor("embeddings.position_embeddings.weight", &[config.positions, hidden])?;
        const TYPES: &str = "embeddings.token_type_embeddings.weight";
        if let Some(types) = weights.rows(TYPES) {
            let table = weights.tensor(TYPES, &[types, hidden])?;
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
                query_key_value: Linear::new(&matrix, bias, hidden),
                attention_output: linear(&name(names.attention_output), hidden, hidden)?,
                attention_norm: norm(&name(names.attention_norm))?,
                intermediate: linear(&name(names.intermediate), hidden, intermediate)?,
                output: linear(&name(names.output), intermediate, hidden)?,
                output_norm: norm(&name(names.output_norm))?,
            });
        }
        let embedding_norm = norm(names.embedding_norm)?;
        let attention = Attention::new(config.heads, hidden);
        Ok(Transformer { config, words, positions, embedding_norm, layers, attention })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Runs the texts, each within the model's limits, and leaves one row of `hidden` floats a
    /// token in `workspace.states`, texts one after the other.
    pub(crate) fn forward<T: AsRef<[u32]>>(&self, texts: &[T], workspace: &mut Workspace) {
        let (hidden, intermediate) = (self.config.hidden, self.config.intermediate);
        let tokens: usize = texts.iter().map(|text| text.as_ref().len()).sum();
        let Workspace { states, update, query_key_value, context, intermediate: inner, attention } =
            workspace;
        states.clear();
        for text in texts {
            for (position, &id) in text.as_ref().iter().enumerate() {
                let word = &self.words[id as usize * hidden..][..hidden];
                let place = (position + self.config.first_position) * hidden;
                let position = &self.positions[place..][..hidden];
                states.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.embedding_norm.apply(states, None);
        // Every element of these is written before it is read.
        update.resize(tokens * hidden, 0.0);
        context.resize(tokens * hidden, 0.0);
        query_key_value.resize(tokens * 3 * hidden, 0.0);
        inner.resize(tokens * intermediate, 0.0);

        for layer in &self.layers {
            layer.query_key_value.apply(states, Activation::Identity, query_key_value);
            let mut first = 0;
            for text in texts {
                let length = text.as_ref().len();
                let rows = first..first + length;
                self.attention.apply(
                    &query_key_value[rows.start * 3 * hidden..rows.end * 3 * hidden],
                    &mut context[rows.start * hidden..rows.end * hidden],
                    attention,
                );
                first += length;
            }
            layer.attention_output.apply(context, Activation::Identity, update);
            layer.attention_norm.apply(update, Some(states));
            std::mem::swap(states, update);

            layer.intermediate.apply(states, self.config.activation, inner);
            layer.output.apply(inner, Activation::Identity, update);
            layer.output_norm.apply(update, Some(states));
            std::mem::swap(states, update);
        }
    }
}
