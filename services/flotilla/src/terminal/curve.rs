//! How something went, in one line.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest on the right, the highest as high as there is.
pub(crate) fn curve(rates: impl ExactSizeIterator<Item = f64>, cells: usize) -> String {
    let skipped = rates.len().saturating_sub(cells);
    let rates: Vec<f64> = rates.skip(skipped).collect();
    let most = rates.iter().copied().fold(0.0, f64::max);
    let height = |rate: &f64| match most > 0.0 {
        true => ((rate / most) * (BARS.len() - 1) as f64).round() as usize,
        false => 0,
    };
    rates
        .iter()
        .map(|rate| BARS[height(rate).min(BARS.len() - 1)])
        .collect()
}

/// At most so many cells, each the sum of as many values as it stands for.
pub(crate) fn summed(values: &[f64], cells: usize) -> Vec<f64> {
    let each = values.len().div_ceil(cells.max(1)).max(1);
    // From the end, so that only the oldest cell may stand for fewer.
    let mut sums: Vec<f64> = values
        .rchunks(each)
        .map(|chunk| chunk.iter().sum())
        .collect();
    sums.reverse();
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_fit_and_show_the_newest() {
        assert_eq!(curve([0.0, 5.0, 10.0].into_iter(), 2), "▅█");
        assert_eq!(curve([0.0, 0.0].into_iter(), 9), "▁▁");
    }

    #[test]
    fn many_values_are_summed_up() {
        assert_eq!(summed(&[1.0, 2.0, 3.0, 4.0, 5.0], 3), [1.0, 5.0, 9.0]);
        assert_eq!(summed(&[1.0, 2.0], 9), [1.0, 2.0]);
        assert!(summed(&[], 9).is_empty());
    }
}
