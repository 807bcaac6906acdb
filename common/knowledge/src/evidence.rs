//! How well a statement of the documents answers a question, judged by the question's terms.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::index::{Entry, Found, Hit};
use crate::question::Asks;
use crate::sentences::{Statement, statements_of};
use crate::terms::{is_exact, terms, words};

/// What a term is worth where it stands in the headings above a statement, or beside it in the
/// same chunk, against one in the statement itself.
const ABOVE: f32 = 0.8;
const BESIDE: f32 = 0.5;
/// How much the meaning of a chunk counts beside the words of a statement.
const MEANING: f32 = 0.6;
/// What it counts that the heading right above speaks of the question, as in a list of questions
/// and answers.
const HEADED: f32 = 0.3;
/// What it counts that a statement looks like what is asked for.
const FITTING: f32 = 0.06;
/// Of two statements that say the same the shorter one: what a hundred characters cost.
const LENGTH: f32 = 0.01;

/// A statement that may answer the question.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) entry: &'a Arc<Entry>,
    pub(crate) range: Range<usize>,
    pub(crate) score: f32,
    coverage: f32,
    within: f32,
    missing: f32,
    exact: f32,
    lacks_exact: bool,
}

impl<'a> Candidate<'a> {
    pub(crate) fn quote(&self) -> &'a str {
        &self.entry.text[self.range.clone()]
    }
}

/// What an answer's confidence is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The share of the question, its terms weighed by how telling they are, that the best
    /// statement or what stands around it speaks about, from 0 to 1.
    pub coverage: f32,
    /// The share that the statement itself has.
    pub within: f32,
    /// The share of the most telling term of the question that its chunk lacks.
    pub missing: f32,
    /// The share of codes, models and numbers that the statement itself has.
    pub exact: f32,
    /// Whether its chunk lacks a code, model or number that the question has.
    pub lacks_exact: bool,
    /// The greatest similarity of meaning of a chunk that was found, where there are embeddings.
    pub cosine: Option<f32>,
}

/// How many numbers an [`Evidence`] is.
pub const FEATURES: usize = 7;
/// From this cosine on a chunk speaks of what is asked, be it in other words: what is beyond counts
/// once more.
const NEAR: f32 = 0.5;

impl Evidence {
    pub(crate) fn of(best: &Candidate<'_>, found: &Found) -> Self {
        Self {
            coverage: best.coverage,
            within: best.within,
            missing: best.missing,
            exact: best.exact,
            lacks_exact: best.lacks_exact,
            cosine: found
                .hits
                .iter()
                .filter_map(|hit| hit.cosine)
                .reduce(f32::max),
        }
    }

    pub fn features(&self) -> [f32; FEATURES] {
        let cosine = self.cosine.unwrap_or(0.0);
        [
            self.coverage,
            self.within,
            self.missing,
            self.exact,
            f32::from(u8::from(self.lacks_exact)),
            cosine,
            (cosine - NEAR).max(0.0) * 20.0,
        ]
    }
}

/// The statements of what was found, the best first.
pub(crate) fn candidates(found: &Found) -> Vec<Candidate<'_>> {
    let question = Question::of(found);
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for hit in &found.hits {
        candidates.extend(candidates_of(hit, &question));
    }
    // Stable: of equal ones that of the better chunk.
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

/// The question's terms, with their share of it.
struct Question<'a> {
    shares: BTreeMap<&'a str, f32>,
    asks: Asks,
}

/// Where a term was met, by the worth that it has there.
type Met<'a> = BTreeSet<&'a str>;

impl<'a> Question<'a> {
    fn of(found: &'a Found) -> Self {
        let weights = &found.weights;
        let total: f32 = weights.values().sum();
        let share = |(term, weight): (&'a String, &f32)| {
            (term.as_str(), weight / total.max(f32::MIN_POSITIVE))
        };
        Self {
            shares: weights.iter().map(share).collect(),
            asks: found.asks,
        }
    }

    fn met(&self, text: &str) -> Met<'a> {
        terms(text)
            .filter_map(|term| self.shares.get_key_value(term.as_str()))
            .map(|(term, _)| *term)
            .collect()
    }

    /// The share that a heading speaks of, together with the title; none where it is the title
    /// alone that does.
    fn headed(&self, heading: &str, titled: &Met<'a>) -> f32 {
        let met = self.met(heading);
        if met.is_subset(titled) {
            return 0.0;
        }
        met.union(titled)
            .filter_map(|term| self.shares.get(term))
            .sum()
    }

    /// Whether a statement looks like what is asked for.
    fn fits(&self, statement: &str) -> bool {
        let is_step = || statement.starts_with(|c: char| c.is_ascii_digit());
        match self.asks {
            Asks::Amount => has_number(statement),
            Asks::Manner => is_step() && statement.contains('\n'),
            Asks::Other => false,
        }
    }
}

/// "One" is left out: it mostly is no amount.
fn has_number(statement: &str) -> bool {
    const NUMBERS: &[&str] = &[
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "fifteen", "twenty", "thirty", "forty", "fifty", "sixty", "ninety", "hundred", "thousand",
        "half", "dozen", "twice",
    ];
    words(statement).any(|word| is_exact(&word) || NUMBERS.contains(&word.as_str()))
}

fn candidates_of<'a>(hit: &'a Hit, question: &Question<'_>) -> Vec<Candidate<'a>> {
    let entry = &hit.entry;
    let mut above = question.met(&entry.document.title);
    for heading in &entry.headings {
        above.extend(question.met(heading));
    }
    let titled = question.met(&entry.document.title);
    let beside = question.met(&entry.text);
    let meaning = MEANING * hit.cosine.unwrap_or(0.0).max(0.0);
    let candidate = |statement: Statement| {
        let within = question.met(&entry.text[statement.range.clone()]);
        let mut near = above.clone();
        let mut heading = entry.headings.last().map(String::as_str);
        for range in statement.above {
            let text = &entry.text[range];
            near.extend(question.met(text));
            if text.starts_with('#') {
                heading = Some(text);
            }
        }
        let headed = question.headed(heading.unwrap_or_default(), &titled);
        let mut candidate = Candidate {
            entry,
            range: statement.range,
            score: 0.0,
            coverage: 0.0,
            within: 0.0,
            missing: 0.0,
            exact: 0.0,
            lacks_exact: false,
        };
        for (term, share) in &question.shares {
            if within.contains(term) {
                candidate.coverage += share;
                candidate.within += share;
                candidate.exact += if is_exact(term) { *share } else { 0.0 };
            } else if near.contains(term) {
                candidate.coverage += share * ABOVE;
            } else if beside.contains(term) {
                candidate.coverage += share * BESIDE;
            } else {
                candidate.missing = candidate.missing.max(*share);
                candidate.lacks_exact |= is_exact(term);
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "the length of a chunk at most")]
        let length = candidate.range.len() as f32 / 100.0 * LENGTH;
        let fitting = if question.fits(candidate.quote()) {
            FITTING
        } else {
            0.0
        };
        candidate.score = candidate.coverage + headed * HEADED + meaning + fitting - length;
        candidate
    };
    statements_of(&entry.text)
        .into_iter()
        .map(candidate)
        .collect()
}
