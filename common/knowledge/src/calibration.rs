//! How likely an answer is right, judged by its evidence.

use crate::evidence::{Evidence, FEATURES};

/// Below this, what was found is taken for no answer.
pub const CONFIDENCE_MIN: f32 = 0.5;

/// A logistic regression: the sum of the weighed features, and the offset.
struct Fit {
    weights: [f32; FEATURES],
    offset: f32,
}

/// In the order of [`Evidence::features`]. Fitted to the tuning half of tests/eval by
/// `just eval --fit`, which prints them; on the other half the Brier score is 0.10.
const LEXICAL: Fit = Fit {
    weights: [5.76, 1.23, -1.97, 2.21, -0.38, 0.0, 0.0],
    offset: -2.55,
};
/// Asked of small collections as well, where words say little and meaning makes up for it. Words
/// alone are not fitted to these: two of three words would be enough to answer with a sentence
/// that was planted.
const HYBRID: Fit = Fit {
    weights: [4.22, 1.39, -0.12, 0.27, -2.03, 1.95, 0.90],
    offset: -3.13,
};

/// From 0 to 1: how often answers of such evidence are right.
pub fn confidence(evidence: &Evidence) -> f32 {
    let fit = match evidence.cosine {
        Some(_) => HYBRID,
        None => LEXICAL,
    };
    let features = evidence.features();
    let weighed = fit.weights.iter().zip(features).map(|(w, x)| w * x);
    let logit = fit.offset + weighed.sum::<f32>();
    1.0 / (1.0 + (-logit).exp())
}
