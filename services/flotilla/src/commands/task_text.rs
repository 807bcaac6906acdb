//! One task, for people.

use serde_json::Value;

use super::{items, state_tone, text};
use crate::terminal::{Cell, Column, Screen, Table, Tone, ago, clock, lines, one_line, seconds};

/// A result that is longer is cut; `--json` has the whole.
const RESULT_LINES_MAX: usize = 60;

pub(super) fn show(task: &Value, screen: Screen) -> String {
    let state = text(&task["status"]);
    let mut shown = format!(
        "{}  {}  {} {}\n",
        screen.paint(Tone::Strong, &one_line(&text(&task["task_id"]))),
        screen.paint(state_tone(&state), &state),
        text(&task["category"]),
        text(&task["priority"]),
    );
    for (name, value) in facts(task) {
        shown.push_str(&screen.paint(Tone::Faint, &format!("  {name:<10}")));
        shown.push_str(&one_line(&value));
        shown.push('\n');
    }
    if items(task, "attempts").next().is_some() {
        shown.push('\n');
        shown.push_str(&attempts(task, screen));
    }
    if !task["result"].is_null() {
        shown.push('\n');
        shown.push_str(&result(&task["result"]));
    }
    shown
}

fn facts(task: &Value) -> Vec<(&'static str, String)> {
    let time = |name: &str| {
        let at = task[name].as_str()?;
        Some(format!("{} ({})", clock(at), ago(at)))
    };
    let took = task["duration_seconds"].as_f64().map(seconds);
    let waiting = task["waiting"]["message"].as_str().map(|message| {
        let place = task["waiting"]["position"].as_u64();
        let place = place.map(|place| format!(", place {place} in its queue"));
        let start = task["waiting"]["estimated_start_at"]
            .as_str()
            .map(|at| format!(", starts about {}", ago(at)));
        format!(
            "{message}{}{}",
            place.unwrap_or_default(),
            start.unwrap_or_default()
        )
    });
    let progress = task["progress"]["percent"]
        .as_f64()
        .map(|percent| format!("{percent:.0} % {}", text(&task["progress"]["message"])));
    let error = task["error"]["code"]
        .as_str()
        .map(|code| format!("{code}: {}", text(&task["error"]["message"])));
    let retries = task["retries"].as_u64().filter(|retries| *retries > 0);
    let origin = (!task["origin"].is_null()).then(|| task["origin"].to_string());
    let was = task["was"].as_str().map(|was| was.replace('_', " "));
    [
        ("submitted", time("submitted_at")),
        ("runs at", time("run_at")),
        ("started", time("started_at")),
        ("completed", time("completed_at")),
        ("failed", time("failed_at")),
        ("cancelled", time("cancelled_at")),
        ("expired", time("expired_at")),
        ("next try", time("retry_at")),
        ("ran for", took),
        ("retries", retries.map(|retries| retries.to_string())),
        ("was", was),
        ("progress", progress),
        ("waits", waiting),
        ("origin", origin),
        ("error", error),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn attempts(task: &Value, screen: Screen) -> String {
    let columns = [
        Column::number("ATTEMPT"),
        Column::text("STARTED"),
        Column::number("RAN FOR"),
        Column::text("ERROR"),
        Column::prose("MESSAGE"),
    ];
    let mut table = Table::new(columns);
    for attempt in items(task, "attempts") {
        table.row([
            text(&attempt["number"]).into(),
            clock(&text(&attempt["started_at"])).into(),
            attempt["duration_seconds"]
                .as_f64()
                .map(seconds)
                .unwrap_or_default()
                .into(),
            Cell::toned(text(&attempt["error"]["code"]), Tone::Bad),
            text(&attempt["error"]["message"]).into(),
        ]);
    }
    table.show(screen)
}

/// Long texts on their own lines, the rest as JSON.
fn result(result: &Value) -> String {
    let mut rest = result.clone();
    let content = match rest.get_mut("content") {
        Some(Value::String(content)) => Some(std::mem::take(content)),
        _ => None,
    };
    if let (Some(fields), true) = (rest.as_object_mut(), content.is_some()) {
        fields.remove("content");
    }
    let json = serde_json::to_string_pretty(&rest).unwrap_or_default();
    let mut shown = head(&lines(&json));
    if let Some(content) = content {
        shown.push('\n');
        shown.push_str(&head(&lines(&content)));
    }
    shown
}

fn head(text: &str) -> String {
    let total = text.lines().count();
    let mut shown: String = text
        .lines()
        .take(RESULT_LINES_MAX)
        .flat_map(|line| [line, "\n"])
        .collect();
    if total > RESULT_LINES_MAX {
        shown.push_str(&format!(
            "… {} more lines: --json has all\n",
            total - RESULT_LINES_MAX
        ));
    }
    shown
}
