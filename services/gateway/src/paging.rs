//! Listings come in pages: each goes on after the last one of the page before, whatever came
//! and went since.

use crate::problem::Problem;

const LIMIT_DEFAULT: usize = 100;
pub(crate) const LIMIT_MAX: usize = 500;

/// How many at most: what is asked for, within bounds.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    bounded(asked.unwrap_or(LIMIT_DEFAULT), LIMIT_MAX)
}

pub(crate) fn bounded(limit: usize, max: usize) -> Result<usize, Problem> {
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid("limit", format!("limit: use 1 to {max}")))
}

/// Sequences stay below this: clients in JavaScript read them without loss.
pub(crate) const SEQUENCE_MAX: u64 = 9_007_199_254_740_991;

/// The sequence at which a page begins.
pub(crate) fn first(after: Option<u64>) -> Result<u64, Problem> {
    match after {
        Some(after) if after > SEQUENCE_MAX => {
            let why = format!("after: use 0 to {SEQUENCE_MAX}");
            Err(Problem::invalid("after", why).remedy("send `next` of the page before"))
        }
        after => Ok(after.map_or(1, |after| after + 1)),
    }
}
