//! The transformations of PDF: six numbers, applied to row vectors (ISO 32000, 8.3.3).

use lopdf::Object;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Matrix(pub(super) [f64; 6]);

impl Matrix {
    pub(super) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    pub(super) fn of(operands: &[Object]) -> Option<Self> {
        let mut numbers = [0.0; 6];
        for (number, operand) in numbers.iter_mut().zip(operands.get(..6)?) {
            *number = number_of(operand)?;
        }
        Some(Self(numbers))
    }

    pub(super) fn translation(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// A page may be shown turned by a multiple of 90 degrees, clockwise.
    pub(super) fn turned(degrees: i64) -> Self {
        match degrees.rem_euclid(360) {
            90 => Self([0.0, -1.0, 1.0, 0.0, 0.0, 0.0]),
            180 => Self([-1.0, 0.0, 0.0, -1.0, 0.0, 0.0]),
            270 => Self([0.0, 1.0, -1.0, 0.0, 0.0, 0.0]),
            _ => Self::IDENTITY,
        }
    }

    /// First this one, then `next`.
    pub(super) fn then(self, next: Self) -> Self {
        let ([a, b, c, d, e, f], [na, nb, nc, nd, ne, nf]) = (self.0, next.0);
        Self([
            a * na + b * nc,
            a * nb + b * nd,
            c * na + d * nc,
            c * nb + d * nd,
            e * na + f * nc + ne,
            e * nb + f * nd + nf,
        ])
    }

    pub(super) fn origin(self) -> (f64, f64) {
        (self.0[4], self.0[5])
    }

    /// How long a vertical line of length 1 becomes: what a font size is multiplied with.
    pub(super) fn height(self) -> f64 {
        self.0[2].hypot(self.0[3])
    }
}

pub(super) fn number_of(object: &Object) -> Option<f64> {
    object.as_float().ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_counts() {
        let twice = Matrix([2.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
        let moved = Matrix::translation(10.0, 5.0);
        assert_eq!(moved.then(twice).origin(), (20.0, 10.0));
        assert_eq!(twice.then(moved).origin(), (10.0, 5.0));
        assert_eq!(twice.then(moved).height(), 2.0);
    }

    #[test]
    fn four_quarter_turns_are_none() {
        let quarter = Matrix::turned(90);
        let all = quarter.then(quarter).then(quarter).then(quarter);
        assert_eq!(all, Matrix::IDENTITY);
        assert_eq!(Matrix::turned(-90), Matrix::turned(270));
    }
}
