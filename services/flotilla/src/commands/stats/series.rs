//! The last hour or day, a line for each category and its curve.

use serde_json::Value;

use super::super::{items, text};
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Column, Screen, Table, Tone, count, curve, seconds, summed};

/// What the other columns leave of a usual terminal.
const CELLS: usize = 48;

pub(super) async fn run(range: &str, api: &Api, screen: Screen) -> Done {
    let call = api.get(&["stats", "series"]).query("range", range);
    let series = call.query("by", "category").send().await?;
    if screen.is_json {
        return screen.line(series.text.trim_end());
    }
    screen.write(&table(&series.body).show(screen))?;
    let changes = items(&series.body, "breakers").count();
    let told = format!("breakers changed {changes} times");
    screen.line(screen.paint(Tone::Faint, &told))
}

fn table(series: &Value) -> Table {
    let columns = [
        Column::text("CATEGORY"),
        Column::text("FINISHED"),
        Column::number("TASKS"),
        Column::number("FAILED"),
        Column::number("MOST A SECOND"),
        Column::number("WAIT p95"),
        Column::number("BACKLOG"),
    ];
    let step = series["step_seconds"].as_f64().unwrap_or(1.0);
    let mut table = Table::new(columns);
    for line in items(series, "lines") {
        let points: Vec<&Value> = items(line, "points").collect();
        let number = |point: &Value, name: &str| point[name].as_u64().unwrap_or_default();
        let ended = |point: &Value| {
            let kinds = ["completed", "failed", "cancelled", "expired"];
            kinds.map(|kind| number(point, kind)).iter().sum::<u64>()
        };
        let finished: Vec<f64> = points.iter().map(|point| ended(point) as f64).collect();
        let most = finished.iter().copied().fold(0.0, f64::max) / step;
        // The longest of the stretches, and the highest.
        let waits = points
            .iter()
            .filter_map(|point| point["wait"]["p95"].as_f64());
        let backlog = points.iter().map(|point| number(point, "waiting")).max();
        table.row([
            text(&line["category"]).into(),
            curve(summed(&finished, CELLS).into_iter(), CELLS).into(),
            count(points.iter().map(|point| ended(point)).sum()).into(),
            count(points.iter().map(|point| number(point, "failed")).sum()).into(),
            format!("{most:.1}").into(),
            waits
                .reduce(f64::max)
                .map(seconds)
                .unwrap_or_default()
                .into(),
            count(backlog.unwrap_or_default()).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_its_curve_and_its_figures() {
        let point = |completed: u64, failed: u64| {
            json!({
                "completed": completed, "failed": failed, "cancelled": 0, "expired": 0,
                "waiting": completed, "wait": {"p95": 0.25},
            })
        };
        let series = json!({"step_seconds": 10, "lines": [
            {"category": "query", "points": [point(0, 0), point(30, 20)]},
        ]});
        let shown = table(&series).show(Screen::plain(None));
        let row = shown.lines().nth(1).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            ["query", "▁█", "50", "20", "5.0", "250", "ms", "30",]
        );
    }
}
