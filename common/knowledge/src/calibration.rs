//! How likely an answer is right, judged by its evidence.

use crate::evidence::{Evidence, FEATURES};

/// Below this, what was found is taken for no answer.
pub const CONFIDENCE_MIN: f32 = 0.5;

/// A logistic regression: the sum of the weighed features, and the offset.
struct Fit {
    weights: [f32; FEATURES],
    offset: f32,
}

/// In the order of [`Evidence::features`]. Fitted to the tuning half of tests/eval, asked of the
/// whole collection and of small ones, by `just eval --fit`, which prints them; on the other half
/// the Brier score is 0.10, of small collections 0.06.
const LEXICAL: Fit = Fit {
    weights: [5.71, 1.09, -0.58, 0.60, -1.72, 0.0, 0.0],
    offset: -2.66,
};
const HYBRID: Fit = Fit {
    weights: [4.29, 1.44, -0.68, 0.33, -1.89, 2.03, 1.46],
    offset: -3.10,
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
