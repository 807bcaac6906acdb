//! The one matrix multiplication that all of the model's are: weights, scores, and their values.
//! It is our own, because the crates that offer one are called through `unsafe`, and because
//! weights that lie as they are read save what those spend on every call.

use pulp::{Arch, Simd, WithSimd};

use crate::blocks::{Block, Matrix, Row, WIDTH, ZERO};
use crate::curves::gelu;

/// Rows are computed in groups of these sizes, so their number must be a multiple of the least.
pub(crate) const ROWS_STEP: usize = 4;
/// With 32 registers, 24 of them hold sums.
const ROWS_WIDE: usize = 12;

/// Some rows of some neighbouring panels of a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) row: usize,
    pub(crate) rows: usize,
    pub(crate) panel: usize,
    pub(crate) panels: usize,
}

impl<'a> Part<'a> {
    pub(crate) fn whole(matrix: &'a Matrix, panels: usize) -> Self {
        Self {
            matrix,
            row: 0,
            rows: matrix.rows(),
            panel: 0,
            panels,
        }
    }

    #[inline(always)]
    fn rows_at<const N: usize>(&self, row: usize, panel: usize) -> &'a [Row; N] {
        &self.matrix.panel(self.panel + panel)[self.row + row..]
            .as_chunks()
            .0[0]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Store,
    Gelu,
}

/// `out[row.., panel..] = then(left · right + bias)`
#[derive(Debug)]
pub(crate) struct Multiply<'a> {
    pub(crate) left: Part<'a>,
    /// For each panel of the output `left.panels` blocks.
    pub(crate) right: &'a [Block],
    /// A row for each panel of the output; none where there is no bias.
    pub(crate) bias: &'a [Row],
    pub(crate) out: &'a mut Matrix,
    pub(crate) row: usize,
    pub(crate) panel: usize,
    pub(crate) then: Then,
}

impl Multiply<'_> {
    /// With the widest registers that this processor has.
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, .. } = self;
        let has_many_registers = S::F32_LANES != 8;
        for (n, blocks) in right.chunks_exact(left.panels).enumerate() {
            let bias = self.bias.get(n).unwrap_or(&ZERO);
            let out = &mut self.out.panel_mut(self.panel + n)[self.row..][..left.rows];
            let mut row = 0;
            while has_many_registers && left.rows - row >= ROWS_WIDE {
                tile::<S, ROWS_WIDE>(simd, left, row, blocks, bias, out, self.then);
                row += ROWS_WIDE;
            }
            while left.rows - row >= ROWS_STEP {
                tile::<S, ROWS_STEP>(simd, left, row, blocks, bias, out, self.then);
                row += ROWS_STEP;
            }
        }
    }
}

#[allow(
    clippy::needless_range_loop,
    reason = "sums, rows and block are walked together, by constants"
)]
/// A panel of so many rows. Two registers a row at a time, whatever a register holds.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize>(
    simd: S,
    left: Part<'_>,
    row: usize,
    blocks: &[Block],
    bias: &Row,
    out: &mut [Row],
    then: Then,
) {
    let out = &mut out[row..].as_chunks_mut::<ROWS>().0[0];
    let bias = S::as_simd_f32s(&bias.0).0;
    for pair in 0..WIDTH / (2 * S::F32_LANES) {
        let (first, second) = (2 * pair, 2 * pair + 1);
        let mut sums = [[bias[first], bias[second]]; ROWS];
        for (panel, block) in blocks.iter().enumerate() {
            let rows = left.rows_at::<ROWS>(row, panel);
            for k in 0..WIDTH {
                let right = S::as_simd_f32s(&block[k].0).0;
                let right = [right[first], right[second]];
                for r in 0..ROWS {
                    let value = simd.splat_f32s(rows[r].0[k]);
                    sums[r][0] = simd.mul_add_e_f32s(value, right[0], sums[r][0]);
                    sums[r][1] = simd.mul_add_e_f32s(value, right[1], sums[r][1]);
                }
            }
        }
        for r in 0..ROWS {
            let to = S::as_mut_simd_f32s(&mut out[r].0).0;
            to[first] = sums[r][0];
            to[second] = sums[r][1];
        }
    }
    if then == Then::Gelu {
        // While the tile is in the first cache.
        for row in out {
            row.0 = row.0.map(gelu);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{cut, pack};

    fn random(seed: &mut u32) -> f32 {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(*seed) / f64::from(u32::MAX) - 0.5) as f32
    }

    fn run_with<S: Simd>(simd: S, multiply: Multiply<'_>) {
        simd.vectorize(multiply);
    }

    #[test]
    fn it_multiplies_as_one_does_by_hand_on_every_kind_of_register() {
        let mut seed = 5;
        for (rows, inputs, outputs) in [(4, 32, 32), (28, 64, 96), (44, 384, 64)] {
            let mut values = |n: usize| (0..n).map(|_| random(&mut seed)).collect::<Vec<f32>>();
            let (a, w, bias) = (
                values(rows * inputs),
                values(outputs * inputs),
                values(outputs),
            );
            let mut left = Matrix::default();
            left.resize(rows, inputs / WIDTH);
            for (row, values) in a.chunks(inputs).enumerate() {
                for (panel, part) in cut(values).iter().enumerate() {
                    *left.row_mut(row, panel) = part.0;
                }
            }
            let (right, bias_rows) = (pack(&w, inputs), cut(&bias));
            let check = |how: &str, run: &dyn Fn(Multiply<'_>)| {
                let mut out = Matrix::default();
                out.resize(rows, outputs / WIDTH);
                run(Multiply {
                    left: Part::whole(&left, inputs / WIDTH),
                    right: &right,
                    bias: &bias_rows,
                    out: &mut out,
                    row: 0,
                    panel: 0,
                    then: Then::Store,
                });
                for row in 0..rows {
                    for output in 0..outputs {
                        let exact: f64 = (0..inputs)
                            .map(|k| {
                                f64::from(a[row * inputs + k]) * f64::from(w[output * inputs + k])
                            })
                            .sum::<f64>()
                            + f64::from(bias[output]);
                        let got = out.panel(output / WIDTH)[row].0[output % WIDTH];
                        assert!(
                            (f64::from(got) - exact).abs() < 1e-5,
                            "{how}: {got} {exact}"
                        );
                    }
                }
            };
            check("widest", &|multiply| multiply.run());
            check("scalar", &|multiply| run_with(pulp::Scalar, multiply));
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                check("AVX2", &|multiply| run_with(simd, multiply));
            }
        }
    }
}
