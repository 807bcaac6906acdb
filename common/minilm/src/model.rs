//! The forward pass: texts side by side in one matrix, without padding between them.

use std::path::Path;

use crate::blocks::{Block, Matrix, Row, WIDTH, ZERO, cut, pack};
use crate::curves::{Norm, softmax};
use crate::multiply::{Multiply, Part, ROWS_STEP, Then};
use crate::tokenizer::Tokenizer;
use crate::weights::{LoadError, TOKENIZER, Tensors, WEIGHTS, read};

pub const DIMENSIONS: usize = 384;
/// Longer texts are cut: the model was trained on no more.
pub const TOKENS_MAX: usize = 256;
const PANELS: usize = DIMENSIONS / WIDTH;
const INNER: usize = 4 * DIMENSIONS;
const LAYERS: usize = 6;
const POSITIONS: usize = 512;
const WORDS: usize = 30_522;
/// Texts that go through the layers together: the weights are read once for all of them.
const TOGETHER: usize = 4;

pub type Embedding = [f32; DIMENSIONS];

#[derive(Debug)]
pub struct Model {
    tokenizer: Tokenizer,
    words: Vec<f32>,
    /// With the embedding of the token type, which always is the first.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    /// Queries, keys and values, in one.
    attention: Linear,
    attended: Linear,
    attended_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

#[derive(Debug)]
struct Linear {
    weights: Vec<Block>,
    bias: Vec<Row>,
}

/// What the computation writes to, kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    hidden: Matrix,
    attention: Matrix,
    context: Matrix,
    change: Matrix,
    inner: Matrix,
    scores: Matrix,
    keys: Vec<Block>,
    values: Vec<Block>,
}

/// A text's rows.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    first: usize,
    tokens: usize,
    /// Filled up, so that rows can be computed in groups.
    rows: usize,
}

impl Model {
    /// Loads the two pinned files of a directory.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let incomplete = |(name, _): (&str, &str), what: &str| LoadError::Incomplete {
            file: directory.join(name),
            what: what.to_owned(),
        };
        let tokenizer = Tokenizer::read(&read(directory, TOKENIZER)?)
            .ok_or_else(|| incomplete(TOKENIZER, "word pieces"))?;
        let file = read(directory, WEIGHTS)?;
        let tensors = Tensors::parse(&file).ok_or_else(|| incomplete(WEIGHTS, "tensors"))?;
        let mut positions = tensors.floats(
            "embeddings.position_embeddings.weight",
            POSITIONS * DIMENSIONS,
        )?;
        let types = tensors.floats("embeddings.token_type_embeddings.weight", 2 * DIMENSIONS)?;
        for position in positions.chunks_exact_mut(DIMENSIONS) {
            for (value, of_type) in position.iter_mut().zip(&types) {
                *value += of_type;
            }
        }
        let layers = (0..LAYERS).map(|n| Layer::load(&tensors, &format!("encoder.layer.{n}")));
        Ok(Self {
            tokenizer,
            words: tensors.floats("embeddings.word_embeddings.weight", WORDS * DIMENSIONS)?,
            positions,
            norm: norm(&tensors, "embeddings.LayerNorm")?,
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    /// The unit vectors of texts, on this thread.
    pub fn embed(&self, texts: &[&str], scratch: &mut Scratch) -> Vec<Embedding> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TOGETHER) {
            let ids: Vec<Vec<u32>> = texts.iter().map(|text| self.token_ids(text)).collect();
            embeddings.extend(self.forward(&ids, scratch));
        }
        embeddings
    }

    /// What the model sees of a text.
    pub fn token_ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, TOKENS_MAX)
    }

    fn forward(&self, texts: &[Vec<u32>], scratch: &mut Scratch) -> Vec<Embedding> {
        let sequences = self.start(texts, scratch);
        for layer in &self.layers {
            layer.attend(&sequences, scratch);
            layer
                .attended_norm
                .apply(&mut scratch.hidden, Some(&scratch.change));
            let Scratch {
                hidden,
                inner,
                change,
                ..
            } = scratch;
            layer
                .inner
                .apply(Part::whole(hidden, PANELS), inner, Then::Gelu);
            layer
                .outer
                .apply(Part::whole(inner, INNER / WIDTH), change, Then::Store);
            layer.outer_norm.apply(hidden, Some(change));
        }
        let pooled = sequences
            .iter()
            .map(|sequence| pool(&scratch.hidden, *sequence));
        pooled.collect()
    }

    /// The embeddings of the tokens.
    fn start(&self, texts: &[Vec<u32>], scratch: &mut Scratch) -> Vec<Sequence> {
        let mut rows = 0;
        let sequences = texts.iter().map(|ids| {
            let sequence = Sequence {
                first: rows,
                tokens: ids.len(),
                rows: ids.len().next_multiple_of(ROWS_STEP),
            };
            rows += sequence.rows;
            sequence
        });
        let sequences: Vec<Sequence> = sequences.collect();
        let Scratch {
            hidden,
            attention,
            context,
            change,
            inner,
            ..
        } = scratch;
        hidden.resize(rows, PANELS);
        attention.resize(rows, 3 * PANELS);
        context.resize(rows, PANELS);
        change.resize(rows, PANELS);
        inner.resize(rows, INNER / WIDTH);
        for (sequence, ids) in sequences.iter().zip(texts) {
            for n in 0..sequence.rows {
                // The rows that fill up are computed, and looked at by nobody.
                let id = ids.get(n).copied().unwrap_or(0) as usize;
                let word = &self.words[id * DIMENSIONS..][..DIMENSIONS];
                let position = &self.positions[n * DIMENSIONS..][..DIMENSIONS];
                for panel in 0..PANELS {
                    let row = hidden.row_mut(sequence.first + n, panel);
                    for (i, value) in row.iter_mut().enumerate() {
                        *value = word[panel * WIDTH + i] + position[panel * WIDTH + i];
                    }
                }
            }
        }
        self.norm.apply(hidden, None);
        sequences
    }
}

impl Layer {
    fn load(tensors: &Tensors<'_>, name: &str) -> Result<Self, LoadError> {
        let linear = |part: &str, inputs: usize, outputs: usize| {
            linear(tensors, &format!("{name}.{part}"), inputs, outputs, 1.0)
        };
        // Scores are divided by the root of a head's width: the queries bring that along.
        #[allow(clippy::cast_precision_loss, reason = "32")]
        let scale = 1.0 / (WIDTH as f32).sqrt();
        let query = format!("{name}.attention.self.query");
        let mut attention = self::linear(tensors, &query, DIMENSIONS, DIMENSIONS, scale)?;
        for part in ["attention.self.key", "attention.self.value"] {
            let more = linear(part, DIMENSIONS, DIMENSIONS)?;
            attention.weights.extend(more.weights);
            attention.bias.extend(more.bias);
        }
        Ok(Self {
            attention,
            attended: linear("attention.output.dense", DIMENSIONS, DIMENSIONS)?,
            attended_norm: norm(tensors, &format!("{name}.attention.output.LayerNorm"))?,
            inner: linear("intermediate.dense", DIMENSIONS, INNER)?,
            outer: linear("output.dense", INNER, DIMENSIONS)?,
            outer_norm: norm(tensors, &format!("{name}.output.LayerNorm"))?,
        })
    }

    /// Leaves the change to `hidden` in `change`. A head is a panel.
    fn attend(&self, sequences: &[Sequence], scratch: &mut Scratch) {
        let Scratch {
            hidden,
            attention,
            context,
            change,
            scores,
            keys,
            values,
            ..
        } = scratch;
        self.attention
            .apply(Part::whole(hidden, PANELS), attention, Then::Store);
        for sequence in sequences {
            let Sequence {
                first,
                tokens,
                rows,
            } = *sequence;
            let blocks = tokens.div_ceil(WIDTH);
            scores.resize(rows, blocks);
            for head in 0..PANELS {
                transpose(&attention.panel(PANELS + head)[first..][..tokens], keys);
                fill(
                    &attention.panel(2 * PANELS + head)[first..][..tokens],
                    values,
                );
                Multiply {
                    left: Part {
                        matrix: attention,
                        row: first,
                        rows,
                        panel: head,
                        panels: 1,
                    },
                    right: keys,
                    bias: &[],
                    out: scores,
                    row: 0,
                    panel: 0,
                    then: Then::Store,
                }
                .run();
                softmax(scores, blocks, tokens);
                Multiply {
                    left: Part::whole(scores, blocks),
                    right: values,
                    bias: &[],
                    out: context,
                    row: first,
                    panel: head,
                    then: Then::Store,
                }
                .run();
            }
        }
        self.attended
            .apply(Part::whole(context, PANELS), change, Then::Store);
    }
}

impl Linear {
    fn apply(&self, left: Part<'_>, out: &mut Matrix, then: Then) {
        Multiply {
            left,
            right: &self.weights,
            bias: &self.bias,
            out,
            row: 0,
            panel: 0,
            then,
        }
        .run();
    }
}

fn linear(
    tensors: &Tensors<'_>,
    name: &str,
    inputs: usize,
    outputs: usize,
    scale: f32,
) -> Result<Linear, LoadError> {
    let scaled = |name: String, count| {
        let floats = tensors.floats(&name, count)?;
        Ok(floats.into_iter().map(|x| x * scale).collect::<Vec<f32>>())
    };
    let weights = scaled(format!("{name}.weight"), inputs * outputs)?;
    let bias = scaled(format!("{name}.bias"), outputs)?;
    Ok(Linear {
        weights: pack(&weights, inputs),
        bias: cut(&bias),
    })
}

fn norm(tensors: &Tensors<'_>, name: &str) -> Result<Norm, LoadError> {
    let part = |part: &str| tensors.floats(&format!("{name}.{part}"), DIMENSIONS);
    Ok(Norm {
        scale: cut(&part("weight")?),
        shift: cut(&part("bias")?),
    })
}

/// The rows as blocks.
fn fill(rows: &[Row], blocks: &mut Vec<Block>) {
    blocks.clear();
    for part in rows.chunks(WIDTH) {
        let mut block = [ZERO; WIDTH];
        block[..part.len()].copy_from_slice(part);
        blocks.push(block);
    }
}

fn transpose(rows: &[Row], blocks: &mut Vec<Block>) {
    blocks.clear();
    for part in rows.chunks(WIDTH) {
        let mut block = [ZERO; WIDTH];
        for (n, row) in part.iter().enumerate() {
            for (values, value) in block.iter_mut().zip(row.0) {
                values.0[n] = value;
            }
        }
        blocks.push(block);
    }
}

/// The mean of the tokens, as a unit vector.
fn pool(hidden: &Matrix, sequence: Sequence) -> Embedding {
    let mut mean = [0.0; DIMENSIONS];
    for (panel, mean) in mean.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
        for row in &hidden.panel(panel)[sequence.first..][..sequence.tokens] {
            for (sum, value) in mean.iter_mut().zip(row.0) {
                *sum += value;
            }
        }
    }
    // The length of the sum makes the mean's: no need to divide twice.
    let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
    mean.map(|x| x / length)
}
