//! What was measured: figures with what they are compared with, and the goals they are held to;
//! one table, or JSON.

use std::fmt;

use serde::Serialize;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    notes: Vec<Note>,
    #[serde(skip)]
    section: &'static str,
}

/// What somebody who reads the figures has to know.
#[derive(Debug, Serialize)]
struct Note {
    section: &'static str,
    note: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    section: &'static str,
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<Baseline>,
    /// The value by the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    /// For the ratio, or the value where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_met: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Baseline {
    name: &'static str,
    value: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

pub(crate) fn figure(name: impl Into<String>, unit: &'static str, value: f64) -> Figure {
    Figure {
        section: "",
        name: name.into(),
        unit,
        value,
        baseline: None,
        ratio: None,
        goal: None,
        is_met: None,
    }
}

impl Figure {
    /// Compares it with something that was measured in the same run, or is ideal.
    pub(crate) fn by(mut self, name: &'static str, value: f64) -> Self {
        self.baseline = Some(Baseline { name, value });
        self.ratio = Some(self.value / value);
        self
    }

    pub(crate) fn at_least(self, goal: f64) -> Self {
        self.held_to(Goal::AtLeast(goal))
    }

    pub(crate) fn at_most(self, goal: f64) -> Self {
        self.held_to(Goal::AtMost(goal))
    }

    fn held_to(mut self, goal: Goal) -> Self {
        let judged = self.ratio.unwrap_or(self.value);
        self.is_met = Some(match goal {
            Goal::AtLeast(least) => judged >= least,
            Goal::AtMost(most) => judged <= most,
        });
        self.goal = Some(goal);
        self
    }
}

impl Report {
    /// What is added from now on is this section's.
    pub(crate) fn begin(&mut self, section: &'static str) {
        self.section = section;
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        let section = self.section;
        self.figures.push(Figure { section, ..figure });
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(Note {
            section: self.section,
            note: note.into(),
        });
    }

    /// What a section has come to.
    pub(crate) fn part(&self, section: &'static str) -> Part<'_> {
        Part {
            report: self,
            section,
        }
    }
}

pub(crate) struct Part<'a> {
    report: &'a Report,
    section: &'static str,
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.section)?;
        for figure in &self.report.figures {
            if figure.section == self.section {
                writeln!(f, "{figure}")?;
            }
        }
        for Note { section, note } in &self.report.notes {
            if *section == self.section {
                writeln!(f, "  ({note})")?;
            }
        }
        Ok(())
    }
}

/// The head of the table that the figures are lines of.
pub(crate) fn head() -> String {
    format!(
        "{:<66} {:>11} {:>11} {:<14} {:>6}  goal",
        "figure", "measured", "baseline", "", "ratio"
    )
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("  {} ({})", self.name, self.unit);
        write!(f, "{name:<66} {:>11}", number(self.value))?;
        match (&self.baseline, self.ratio) {
            (Some(Baseline { name, value }), Some(ratio)) => {
                write!(f, " {:>11} {name:<14} {ratio:>6.2}", number(*value))?;
            }
            _ => write!(f, " {:>11} {:<14} {:>6}", "", "", "")?,
        }
        match self.goal {
            Some(Goal::AtLeast(goal)) => write!(f, "  ≥ {}", short(goal))?,
            Some(Goal::AtMost(goal)) => write!(f, "  ≤ {}", short(goal))?,
            None => {}
        }
        match self.is_met {
            Some(true) => write!(f, " met"),
            Some(false) => write!(f, " MISSED"),
            None => Ok(()),
        }
    }
}

/// With as many decimals as say something.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1_000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn short(value: f64) -> String {
    format!("{value:.2}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// The value in the middle; of an even number, the upper one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = (q * values.len() as f64) as usize;
    values
        .get(index.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_for_the_ratio_where_there_is_one() {
        let met = |figure: Figure| figure.is_met;
        let rate = || figure("rate", "tasks/s", 90.0);
        assert_eq!(met(rate()), None);
        assert_eq!(met(rate().at_least(100.0)), Some(false));
        assert_eq!(met(rate().by("raw", 90.0).at_least(1.0)), Some(true));
        assert_eq!(met(rate().by("raw", 30.0).at_most(2.9)), Some(false));
        // What could not be measured has not met its goal.
        assert_eq!(
            met(figure("rate", "tasks/s", f64::NAN).at_most(1.0)),
            Some(false)
        );
    }

    #[test]
    fn quantiles() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&mut values, 0.5), 3.0);
        assert_eq!(quantile(&mut values, 1.0), 4.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
