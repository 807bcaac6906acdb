//! The figures, as a table or as JSON.

use std::fmt;

use serde::Serialize;

use crate::measure::Figures;

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub struct Row {
    /// How chunks were found: `lexical`, `dense` or `hybrid`.
    pub mode: &'static str,
    /// Which questions: a half, asked of the whole or of small collections, or a kind within the
    /// half that is not tuned to.
    pub questions: String,
    #[serde(flatten)]
    pub figures: Figures,
}

impl Report {
    pub fn add(&mut self, mode: &'static str, questions: impl Into<String>, figures: Figures) {
        self.rows.push(Row {
            mode,
            questions: questions.into(),
            figures,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8} {:<18} {:>4} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7} {:>6} {:>6} {:>6} {:>6}",
            "mode",
            "questions",
            "n",
            "rec@5",
            "mrr@10",
            "ndcg@10",
            "right",
            "answered",
            "refused",
            "refacc",
            "prec",
            "exact",
            "brier",
            "ece"
        )?;
        for row in &self.rows {
            let x = &row.figures;
            writeln!(
                f,
                "{:<8} {:<18} {:>4} {:>7.3} {:>7.3} {:>7.3} {:>7.3} {:>8.3} {:>7.3} {:>7.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3}",
                row.mode,
                row.questions,
                x.questions,
                x.recall_at_5,
                x.mrr_at_10,
                x.ndcg_at_10,
                x.answer_accuracy,
                x.answered,
                x.refused,
                x.refusal_accuracy,
                x.precision,
                x.citation_exactness,
                x.brier,
                x.ece
            )?;
        }
        Ok(())
    }
}
