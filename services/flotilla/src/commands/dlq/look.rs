//! Dead letters, for people.

use serde_json::Value;

use super::super::{items, text};
use super::Filter;
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Cell, Column, Screen, Table, Tone, ago, lines, one_line};

pub(super) async fn list(
    filter: &Filter,
    limit: usize,
    after: Option<u64>,
    api: &Api,
    screen: Screen,
) -> Done {
    let page = filter.page(limit, after, api).await?;
    if screen.is_json {
        return screen.line(page.text.trim_end());
    }
    let columns = [
        Column::text("TASK"),
        Column::text("CATEGORY"),
        Column::text("PRIORITY"),
        Column::text("DIED"),
        Column::number("ATTEMPTS"),
        Column::text("CODE"),
        Column::prose("REASON"),
    ];
    let mut table = Table::new(columns);
    for letter in items(&page.body, "dead_letters") {
        table.row([
            text(&letter["task_id"]).into(),
            text(&letter["category"]).into(),
            text(&letter["priority"]).to_uppercase().into(),
            ago(&text(&letter["died_at"])).into(),
            items(letter, "failed_attempts").count().to_string().into(),
            Cell::toned(text(&letter["reason"]["code"]), Tone::Bad),
            text(&letter["reason"]["message"]).into(),
        ]);
    }
    screen.write(&table.show(screen))?;
    match page.body["next"].as_u64() {
        Some(next) => screen.line(screen.paint(Tone::Faint, &format!("more: --after {next}"))),
        None => Ok(()),
    }
}

pub(super) fn show(letter: &Value, screen: Screen) -> Done {
    let reason = format!(
        "{}: {}",
        text(&letter["reason"]["code"]),
        text(&letter["reason"]["message"])
    );
    screen.line(screen.paint(Tone::Strong, &one_line(&text(&letter["task_id"]))))?;
    screen.line(screen.paint(Tone::Bad, &one_line(&reason)))?;
    screen.line(format!(
        "{} {}, died {}, submitted {}",
        text(&letter["category"]),
        text(&letter["priority"]),
        ago(&text(&letter["died_at"])),
        ago(&text(&letter["submitted_at"])),
    ))?;
    for header in items(letter, "headers") {
        let header = format!("{}: {}", text(&header[0]), text(&header[1]));
        screen.line(screen.paint(Tone::Faint, &one_line(&header)))?;
    }
    for attempt in items(letter, "failed_attempts") {
        let error = &attempt["error"];
        let line = format!(
            "attempt {}  {}: {}",
            attempt["number"],
            text(&error["code"]),
            text(&error["message"])
        );
        screen.line(one_line(&line))?;
    }
    let payload = match letter["payload_base64"].as_str() {
        Some(bytes) => format!("no JSON; in base64: {bytes}"),
        None => serde_json::to_string_pretty(&letter["payload"]).unwrap_or_default(),
    };
    screen.line(lines(&payload))
}
