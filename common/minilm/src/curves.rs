//! The functions between the multiplications, written as loops over 32 values without a branch,
//! which the compiler turns into the processor's widest instructions (inside `pulp`'s dispatch).

use pulp::Arch;

use crate::blocks::{Matrix, Row, WIDTH};

/// x · Φ(x), by the error function rather than by the approximation with tanh: as the model was
/// trained.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// A rational minimax approximation (the one in Eigen), within a few units in the last place;
/// beyond ±4 the function is ±1 in this precision.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const OVER: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const UNDER: [f32; 5] = [
        -1.456_607_2e-5,
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    ];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut over = OVER[0];
    for factor in &OVER[1..] {
        over = over * square + factor;
    }
    let mut under = UNDER[0];
    for factor in &UNDER[1..] {
        under = under * square + factor;
    }
    x * over / under
}

/// For x ≤ 0. Cephes' polynomial around the nearest power of two.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut y = 1.987_569_1e-4;
    for factor in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        y = y * r + factor;
    }
    let y = y * r * r + r + 1.0;
    y * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// Each row's first `keys` values become weights that sum up to 1; those behind become 0.
pub(crate) fn softmax(scores: &mut Matrix, panels: usize, keys: usize) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in 0..scores.rows() {
                softmax_row(scores, row, panels, keys);
            }
        },
    );
}

#[inline(always)]
fn softmax_row(scores: &mut Matrix, row: usize, panels: usize, keys: usize) {
    let last = scores.row_mut(row, panels - 1);
    for value in &mut last[keys - (panels - 1) * WIDTH..] {
        *value = f32::NEG_INFINITY;
    }
    let mut max = [f32::NEG_INFINITY; WIDTH];
    for panel in 0..panels {
        let values = scores.row_mut(row, panel);
        for i in 0..WIDTH {
            max[i] = if values[i] > max[i] {
                values[i]
            } else {
                max[i]
            };
        }
    }
    let max = max.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let mut sums = [0.0; WIDTH];
    for panel in 0..panels {
        let values = scores.row_mut(row, panel);
        for i in 0..WIDTH {
            values[i] = exp(values[i] - max);
            sums[i] += values[i];
        }
    }
    let scale = 1.0 / sums.iter().sum::<f32>();
    for panel in 0..panels {
        for value in scores.row_mut(row, panel) {
            *value *= scale;
        }
    }
    for value in &mut scores.row_mut(row, panels - 1)[keys - (panels - 1) * WIDTH..] {
        *value = 0.0;
    }
}

/// What a layer's norm is scaled and shifted by.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) scale: Vec<Row>,
    pub(crate) shift: Vec<Row>,
}

impl Norm {
    /// `hidden = norm(hidden + more)`
    pub(crate) fn apply(&self, hidden: &mut Matrix, more: Option<&Matrix>) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for row in 0..hidden.rows() {
                    self.apply_row(hidden, more, row);
                }
            },
        );
    }

    #[inline(always)]
    fn apply_row(&self, hidden: &mut Matrix, more: Option<&Matrix>, row: usize) {
        let panels = self.scale.len();
        let mut sums = [0.0; WIDTH];
        for panel in 0..panels {
            let values = hidden.row_mut(row, panel);
            if let Some(more) = more {
                let more = &more.panel(panel)[row].0;
                for i in 0..WIDTH {
                    values[i] += more[i];
                }
            }
            for i in 0..WIDTH {
                sums[i] += values[i];
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "384")]
        let count = (panels * WIDTH) as f32;
        let mean = sums.iter().sum::<f32>() / count;
        let mut squares = [0.0; WIDTH];
        for panel in 0..panels {
            let values = hidden.row_mut(row, panel);
            for i in 0..WIDTH {
                values[i] -= mean;
                squares[i] += values[i] * values[i];
            }
        }
        let factor = 1.0 / (squares.iter().sum::<f32>() / count + 1e-12).sqrt();
        for panel in 0..panels {
            let values = hidden.row_mut(row, panel);
            let (scale, shift) = (&self.scale[panel].0, &self.shift[panel].0);
            for i in 0..WIDTH {
                values[i] = values[i] * factor * scale[i] + shift[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::cut;

    /// The Maclaurin series, which is exact enough in double precision up to 4.
    fn erf_exact(x: f64) -> f64 {
        if x.abs() > 4.0 {
            return x.signum();
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..120 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn the_curves_are_exact_to_the_precision_of_their_numbers() {
        for n in -12_000..12_000 {
            let x = n as f32 / 1_000.0;
            let exact = 0.5 * f64::from(x) * (1.0 + erf_exact(f64::from(x) / 2_f64.sqrt()));
            assert!(
                (f64::from(gelu(x)) - exact).abs() < 3e-7 * f64::from(x.abs() + 1.0),
                "gelu {x}"
            );
            let x = -(x.abs() * 6.0);
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() < 2e-7 * exact, "exp {x}");
        }
    }

    fn matrix(values: &[f32]) -> Matrix {
        let mut matrix = Matrix::default();
        matrix.resize(1, values.len().div_ceil(WIDTH));
        for (panel, part) in cut(values).iter().enumerate() {
            *matrix.row_mut(0, panel) = part.0;
        }
        matrix
    }

    #[test]
    fn weights_sum_up_to_one_and_leave_out_what_is_behind_the_last_key() {
        for keys in [1_usize, 31, 32, 33, 64] {
            let values: Vec<f32> = (0..64).map(|n| (n * 37 % 64) as f32 / 7.0).collect();
            let panels = keys.div_ceil(WIDTH);
            let mut scores = matrix(&values[..panels * WIDTH]);
            softmax(&mut scores, panels, keys);
            let sum: f64 = values[..keys].iter().map(|x| f64::from(*x).exp()).sum();
            for (n, value) in values.iter().enumerate().take(panels * WIDTH) {
                let exact = if n < keys {
                    f64::from(*value).exp() / sum
                } else {
                    0.0
                };
                let got = f64::from(scores.panel(n / WIDTH)[0].0[n % WIDTH]);
                assert!((got - exact).abs() < 1e-6, "{n} of {keys}: {got} {exact}");
            }
        }
    }

    #[test]
    fn a_norm_has_its_mean_and_spread() {
        let values: Vec<f32> = (0..64).map(|n| (n * 29 % 64) as f32 * 3.0 - 50.0).collect();
        let mut hidden = matrix(&values);
        let norm = Norm {
            scale: cut(&[2.0; 64]),
            shift: cut(&[1.0; 64]),
        };
        norm.apply(&mut hidden, Some(&matrix(&values)));
        let mean = values.iter().map(|x| f64::from(2.0 * x)).sum::<f64>() / 64.0;
        let spread = values.iter().map(|x| (f64::from(2.0 * x) - mean).powi(2));
        let spread = (spread.sum::<f64>() / 64.0).sqrt();
        for (n, value) in values.iter().enumerate() {
            let exact = (f64::from(2.0 * value) - mean) / spread * 2.0 + 1.0;
            let got = f64::from(hidden.panel(n / WIDTH)[0].0[n % WIDTH]);
            assert!((got - exact).abs() < 1e-5, "{n}: {got} {exact}");
        }
    }
}
