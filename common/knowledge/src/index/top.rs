//! The best of many, without keeping them all.

/// Collects the chunks of one partition after the other, and keeps the best.
#[derive(Debug)]
pub(super) struct Top {
    size: usize,
    partition: usize,
    /// Up to twice as many as are wanted.
    kept: Vec<(Place, f32)>,
    /// What is below cannot be among the best any more.
    least: f32,
}

/// Partition, and slot within it.
pub(super) type Place = (usize, u32);

impl Top {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            partition: 0,
            kept: Vec::with_capacity(2 * size),
            least: f32::NEG_INFINITY,
        }
    }

    /// What is offered from now on is of this partition.
    pub(super) fn enter(&mut self, partition: usize) {
        self.partition = partition;
    }

    pub(super) fn offer(&mut self, slot: u32, score: f32) {
        if score < self.least {
            return;
        }
        self.kept.push(((self.partition, slot), score));
        if self.kept.len() == 2 * self.size {
            self.kept.select_nth_unstable_by(self.size - 1, order);
            self.kept.truncate(self.size);
            self.least = self.kept[self.size - 1].1;
        }
    }

    /// The best first; equal ones by their places.
    pub(super) fn into_ranking(mut self) -> Vec<(Place, f32)> {
        self.kept.sort_unstable_by(order);
        self.kept.truncate(self.size);
        self.kept
    }
}

fn order(a: &(Place, f32), b: &(Place, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_best_are_kept(scores in prop::collection::vec(0..20_u8, 0..60), size in 1..6_usize) {
            let mut top = Top::new(size);
            let mut all = Vec::new();
            for (slot, score) in (0..).zip(&scores) {
                top.enter(slot as usize % 2);
                top.offer(slot, f32::from(*score));
                all.push(((slot as usize % 2, slot), f32::from(*score)));
            }
            all.sort_by(order);
            all.truncate(size);
            prop_assert_eq!(top.into_ranking(), all);
        }
    }
}
