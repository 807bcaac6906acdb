//! `flotilla workers`.

use serde_json::Value;

use super::{items, text};
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Cell, Column, Screen, Table, Tone, ago};

pub(crate) async fn run(api: &Api, screen: Screen) -> Done {
    let workers = api.get(&["workers"]).send().await?;
    if screen.is_json {
        return screen.line(workers.text.trim_end());
    }
    let total = &workers.body["total"];
    let summary = format!("{} of {} slots are busy", total["busy"], total["slots"]);
    screen.write(&table(&workers.body).show(screen))?;
    screen.line(screen.paint(Tone::Faint, &summary))
}

pub(crate) fn table(workers: &Value) -> Table {
    let columns = [
        Column::text("CATEGORY"),
        Column::text("PROCESS"),
        Column::text("STATE"),
        Column::number("BUSY"),
        Column::number("SLOTS"),
        Column::text("LAST SEEN"),
        Column::text("VERSION"),
    ];
    let mut table = Table::new(columns);
    for (category, team) in workers["workers"].as_object().into_iter().flatten() {
        let mut is_empty = true;
        for worker in items(team, "instances") {
            is_empty = false;
            let state = match (worker["alive"] == true, worker["receiving"] != false) {
                (true, true) => Cell::toned("alive", Tone::Good),
                (true, false) => Cell::toned("deaf", Tone::Bad),
                (false, _) => Cell::toned("silent", Tone::Bad),
            };
            table.row([
                category.into(),
                text(&worker["id"]).into(),
                state,
                text(&worker["busy"]).into(),
                text(&worker["slots"]).into(),
                ago(&text(&worker["last_seen"])).into(),
                text(&worker["version"]).into(),
            ]);
        }
        if is_empty {
            table.row([category.into(), "".into(), Cell::toned("none", Tone::Bad)]);
        }
    }
    table
}
