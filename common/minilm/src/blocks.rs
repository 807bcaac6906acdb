//! How matrices lie in memory: in panels of 32 columns, a panel's rows one after the other.
//! 32 is an attention head's width, so that a head is a panel, and a panel's row is two of the
//! widest registers and two lines of the cache.

pub(crate) const WIDTH: usize = 32;

/// A row of a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Row(pub(crate) [f32; WIDTH]);

pub(crate) const ZERO: Row = Row([0.0; WIDTH]);

/// 32 rows of a right operand: what a panel of the left one is multiplied by.
pub(crate) type Block = [Row; WIDTH];

#[derive(Debug, Default)]
pub(crate) struct Matrix {
    rows: usize,
    data: Vec<Row>,
}

impl Matrix {
    /// Keeps the memory; what was in there remains, so write before you read.
    pub(crate) fn resize(&mut self, rows: usize, panels: usize) {
        self.rows = rows;
        self.data.resize(rows * panels, ZERO);
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn panel(&self, panel: usize) -> &[Row] {
        &self.data[panel * self.rows..][..self.rows]
    }

    pub(crate) fn panel_mut(&mut self, panel: usize) -> &mut [Row] {
        &mut self.data[panel * self.rows..][..self.rows]
    }

    pub(crate) fn row_mut(&mut self, row: usize, panel: usize) -> &mut [f32; WIDTH] {
        &mut self.data[panel * self.rows + row].0
    }
}

/// Cuts a row into its panels' rows. What is short is filled with zeros.
pub(crate) fn cut(values: &[f32]) -> Vec<Row> {
    let rows = values.chunks(WIDTH).map(|part| {
        let mut row = ZERO;
        row.0[..part.len()].copy_from_slice(part);
        row
    });
    rows.collect()
}

/// A layer's weights as they are stored, a row for each output, as the blocks of a right
/// operand: for each panel of outputs the blocks from the first inputs to the last.
pub(crate) fn pack(weights: &[f32], inputs: usize) -> Vec<Block> {
    let outputs = weights.len() / inputs;
    let mut blocks = Vec::with_capacity(weights.len() / (WIDTH * WIDTH));
    for output in (0..outputs).step_by(WIDTH) {
        for input in (0..inputs).step_by(WIDTH) {
            let mut block = [ZERO; WIDTH];
            for (i, row) in block.iter_mut().enumerate() {
                for (j, weight) in row.0.iter_mut().enumerate() {
                    *weight = weights[(output + j) * inputs + input + i];
                }
            }
            blocks.push(block);
        }
    }
    blocks
}
