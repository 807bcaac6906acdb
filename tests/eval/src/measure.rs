//! What the answers are worth.

use serde::Serialize;

use crate::run::Asked;

/// Shares from 0 to 1; what is not measured is NaN, in JSON null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    pub questions: usize,
    /// Of the answerable ones: relevant documents among the first five, and where the first is.
    pub recall_at_5: f64,
    pub mrr_at_10: f64,
    pub ndcg_at_10: f64,
    /// Answerable questions that got the right answer.
    pub answer_accuracy: f64,
    /// Answerable questions that got an answer, right or wrong.
    pub answered: f64,
    /// Unanswerable questions that got none.
    pub refused: f64,
    /// Questions that were rightly answered or rightly refused an answer.
    pub refusal_accuracy: f64,
    /// Answers given that are right.
    pub precision: f64,
    /// Quotes that stand in the chunk that they cite.
    pub citation_exactness: f64,
    /// The confidence against the truth: the mean square error, and the mean distance in bins.
    pub brier: f64,
    pub ece: f64,
}

const BINS: usize = 5;

impl Figures {
    pub fn of(asked: &[Asked<'_>]) -> Self {
        let answerable = || asked.iter().filter(|a| a.question.is_answerable());
        let unanswerable = || asked.iter().filter(|a| !a.question.is_answerable());
        let given = || asked.iter().filter(|a| a.answer.text.is_some());
        let is_answered = |a: &Asked<'_>| f64::from(a.answer.text.is_some());
        let is_right = |a: &Asked<'_>| f64::from(a.is_right(&a.answer));
        let is_as_it_should =
            |a: &Asked<'_>| f64::from(a.answer.text.is_some() == a.question.is_answerable());
        let judged: Vec<(f64, bool)> = asked
            .iter()
            .map(|a| (f64::from(a.proposed.confidence), a.is_right(&a.proposed)))
            .collect();
        Self {
            questions: asked.len(),
            recall_at_5: mean(answerable().map(|a| recall(a, 5))),
            mrr_at_10: mean(answerable().map(|a| reciprocal_rank(a, 10))),
            ndcg_at_10: mean(answerable().map(|a| ndcg(a, 10))),
            answer_accuracy: mean(answerable().map(is_right)),
            answered: mean(answerable().map(is_answered)),
            refused: mean(unanswerable().map(|a| 1.0 - is_answered(a))),
            refusal_accuracy: mean(asked.iter().map(is_as_it_should)),
            precision: mean(given().map(is_right)),
            citation_exactness: mean(asked.iter().flat_map(exactness)),
            brier: mean(
                judged
                    .iter()
                    .map(|(p, right)| (p - f64::from(*right)).powi(2)),
            ),
            ece: calibration_error(&judged),
        }
    }
}

impl Figures {
    /// Without what is only said of answers.
    #[must_use]
    pub fn of_retrieval(self) -> Self {
        let none = f64::NAN;
        Self {
            answer_accuracy: none,
            answered: none,
            refused: none,
            refusal_accuracy: none,
            precision: none,
            citation_exactness: none,
            brier: none,
            ece: none,
            ..self
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    sum / f64::max(count, 1.0)
}

fn is_relevant(asked: &Asked<'_>, id: &String) -> bool {
    asked.question.relevant.contains(id)
}

fn recall(asked: &Asked<'_>, k: usize) -> f64 {
    let found = asked.ranking.iter().take(k);
    found.filter(|id| is_relevant(asked, id)).count() as f64 / asked.question.relevant.len() as f64
}

fn reciprocal_rank(asked: &Asked<'_>, k: usize) -> f64 {
    let mut ranking = asked.ranking.iter().take(k);
    let first = ranking.position(|id| is_relevant(asked, id));
    first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64)
}

fn ndcg(asked: &Asked<'_>, k: usize) -> f64 {
    let gain = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
    let found: f64 = asked
        .ranking
        .iter()
        .take(k)
        .enumerate()
        .filter(|(_, id)| is_relevant(asked, id))
        .map(|(rank, _)| gain(rank))
        .sum();
    let ideal: f64 = (0..asked.question.relevant.len().min(k)).map(gain).sum();
    found / ideal
}

fn exactness<'a>(asked: &'a Asked<'_>) -> impl Iterator<Item = f64> + 'a {
    asked.proposed.citations.iter().map(|citation| {
        let is_it = asked.found.hits.iter().any(|hit| {
            let entry = &hit.entry;
            entry.document.id == citation.document_id
                && entry.ordinal == citation.chunk
                && entry.text.contains(&citation.quote)
        });
        f64::from(is_it)
    })
}

/// Expected calibration error: the distance between confidence and truth in equal bins, weighed
/// by how many fall in each.
fn calibration_error(judged: &[(f64, bool)]) -> f64 {
    let bin = |p: f64| ((p * BINS as f64) as usize).min(BINS - 1);
    let error = |n: usize| {
        let within = || judged.iter().filter(|(p, _)| bin(*p) == n);
        let distance = mean(within().map(|(p, _)| *p)) - mean(within().map(|(_, r)| f64::from(*r)));
        distance.abs() * within().count() as f64 / judged.len().max(1) as f64
    };
    (0..BINS).map(error).sum()
}
