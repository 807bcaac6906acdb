//! Fits the confidence to what turned out right.

use std::fmt;

use flotilla_knowledge::FEATURES;

use crate::run::Asked;

/// Keeps the weights small: there are few questions to learn from.
const RIDGE: f64 = 0.002;
const STEPS: usize = 200_000;
const RATE: f64 = 0.5;

/// A logistic regression over [`flotilla_knowledge::Evidence`].
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub weights: [f64; FEATURES],
    pub offset: f64,
}

impl Fitted {
    /// Gradient descent on the mean log loss: slow, and too simple to be wrong.
    pub fn to<'a>(asked: impl Iterator<Item = &'a Asked<'a>>) -> Self {
        let examples: Vec<([f64; FEATURES], f64)> = asked
            .filter_map(|a| {
                let features = a.proposed.evidence?.features().map(f64::from);
                Some((features, f64::from(a.is_right(&a.proposed))))
            })
            .collect();
        let mut fitted = Self {
            weights: [0.0; FEATURES],
            offset: 0.0,
        };
        let count = examples.len().max(1) as f64;
        for _ in 0..STEPS {
            let mut slope = [0.0; FEATURES];
            let mut slope_offset = 0.0;
            for (features, truth) in &examples {
                let error = fitted.probability(features) - truth;
                slope_offset += error / count;
                for (slope, feature) in slope.iter_mut().zip(features) {
                    *slope += error * feature / count;
                }
            }
            fitted.offset -= RATE * slope_offset;
            for (weight, slope) in fitted.weights.iter_mut().zip(slope) {
                *weight -= RATE * (slope + RIDGE * *weight);
            }
        }
        fitted
    }

    fn probability(&self, features: &[f64; FEATURES]) -> f64 {
        let weighed = self.weights.iter().zip(features).map(|(w, x)| w * x);
        1.0 / (1.0 + (-(self.offset + weighed.sum::<f64>())).exp())
    }
}

impl fmt::Display for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "weights: {:.2?}, offset: {:.2}",
            self.weights, self.offset
        )
    }
}
