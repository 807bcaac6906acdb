//! What was measured, as a table or as JSON.

use std::fmt;

use serde::Serialize;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    fleet: f64,
    raw: f64,
    /// Fleet by raw: above 1 is better for throughput, below 1 for latency.
    ratio: f64,
}

impl Report {
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        fleet: f64,
        raw: f64,
    ) {
        self.figures.push(Figure {
            name: name.into(),
            unit,
            fleet,
            raw,
            ratio: fleet / raw,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:>12} {:>12} {:>8}",
            "figure", "fleet", "raw", "ratio"
        )?;
        for Figure {
            name,
            unit,
            fleet,
            raw,
            ratio,
        } in &self.figures
        {
            let name = format!("{name} ({unit})");
            writeln!(f, "{name:<44} {fleet:>12.2} {raw:>12.2} {ratio:>8.2}")?;
        }
        Ok(())
    }
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
