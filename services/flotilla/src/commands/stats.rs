//! `flotilla stats`.

use flotilla_common::model::Priority;
use serde_json::Value;

use super::{names, text};
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Cell, Column, Screen, Table, Tone, ago, count, percent, seconds};

mod series;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The last hour, or the last day, as curves
    #[arg(long, value_name = "RANGE", value_parser = ["hour", "day"])]
    last: Option<String>,
}

pub(crate) async fn run(args: Args, api: &Api, screen: Screen) -> Done {
    if let Some(range) = args.last {
        return series::run(&range, api, screen).await;
    }
    let stats = api.get(&["stats"]).send().await?;
    if screen.is_json {
        return screen.line(stats.text.trim_end());
    }
    let since = format!("counted since {}", ago(&text(&stats.body["since"])));
    screen.write(&table(&stats.body).show(screen))?;
    screen.line(screen.paint(Tone::Faint, &since))
}

fn table(stats: &Value) -> Table {
    let columns = [
        Column::text(""),
        Column::number("FINISHED"),
        Column::number("COMPLETED"),
        Column::number("FAILED"),
        Column::number("CANCELLED"),
        Column::number("EXPIRED"),
        Column::number("RETRIES"),
        Column::number("SUCCESS"),
        Column::number("RAN p50"),
        Column::number("p95"),
        Column::number("WAITED p50"),
        Column::number("p95"),
    ];
    let mut table = Table::new(columns);
    let categories = names::ordered(&stats["by_category"]).into_iter();
    let categories = categories.map(|name| ("by_category", name));
    let priorities = Priority::ALL.map(|priority| ("by_priority", priority.api_name()));
    for (group, name) in categories.chain(priorities) {
        let figures = &stats[group][name];
        if !figures.is_null() {
            table.row(row(name, figures));
        }
    }
    table.row(row("all", &stats["totals"]));
    table
}

fn row(name: &str, figures: &Value) -> Vec<Cell> {
    let number = |name: &str| figures[name].as_u64().map(count).unwrap_or_default();
    let time = |of: &str, what: &str| figures[of][what].as_f64().map(seconds).unwrap_or_default();
    let tone = match figures["failed"].as_u64() {
        Some(1..) => Tone::Bad,
        _ => Tone::Plain,
    };
    vec![
        name.into(),
        number("total_tasks").into(),
        number("completed").into(),
        Cell::toned(number("failed"), tone),
        number("cancelled").into(),
        number("expired").into(),
        number("retries").into(),
        figures["success_rate"]
            .as_f64()
            .map(percent)
            .unwrap_or_default()
            .into(),
        time("duration_seconds", "p50").into(),
        time("duration_seconds", "p95").into(),
        time("wait_seconds", "p50").into(),
        time("wait_seconds", "p95").into(),
    ]
}
