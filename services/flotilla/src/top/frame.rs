//! One picture, as lines: pure, of what was seen.

use flotilla_common::model::Priority;
use serde_json::Value;

use super::sample::History;
use crate::commands::{breakers, items, names, queues, text, workers};
use crate::terminal::{
    Cell, Column, Screen, Table, Tone, ago, count, curve, cut, one_line, seconds,
};

const BAR_CELLS: usize = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Queues,
    Workers,
    Breakers,
}

impl View {
    const ALL: [Self; 4] = [Self::Overview, Self::Queues, Self::Workers, Self::Breakers];

    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Queues => "queues",
            Self::Workers => "workers",
            Self::Breakers => "breakers",
        }
    }

    /// From 1, as the keys have it.
    pub(super) fn number(n: usize) -> Option<Self> {
        Self::ALL.get(n.checked_sub(1)?).copied()
    }

    pub(super) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub(super) fn before(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }
}

pub(super) fn draw(
    history: &History,
    view: View,
    address: &str,
    note: Option<&str>,
    screen: Screen,
) -> Vec<String> {
    let seen = &history.last;
    let mut lines = head(history, view, address, note, screen);
    match view {
        View::Overview => overview(history, screen, &mut lines),
        View::Queues => push(&mut lines, &queues::table(&seen.queues).show(screen)),
        View::Workers => push(&mut lines, &workers::table(&seen.workers).show(screen)),
        View::Breakers => {
            push(&mut lines, &breakers::all(&seen.breakers).show(screen));
            lines.push(String::new());
            push(&mut lines, &changes(&seen.stats).show(screen));
        }
    }
    lines
}

fn head(
    history: &History,
    view: View,
    address: &str,
    note: Option<&str>,
    screen: Screen,
) -> Vec<String> {
    let health = &history.last.health;
    let (word, tone) = match health["healthy"].as_bool() {
        Some(true) => ("healthy", Tone::Good),
        Some(false) => ("NOT HEALTHY", Tone::Bad),
        None => ("unknown", Tone::Warn),
    };
    let now = crate::terminal::now();
    let title = format!("{}  {address}  ", screen.paint(Tone::Strong, "flotilla"));
    let mut first = format!("{title}{}  {now}", screen.paint(tone, word));
    if let Some(note) = note {
        first.push_str(&format!("  {}", screen.paint(Tone::Warn, &one_line(note))));
    }
    let mut views: Vec<String> = Vec::new();
    for (n, each) in (1..).zip(View::ALL) {
        let name = format!("{n} {}", each.name());
        views.push(screen.paint(
            if each == view {
                Tone::Strong
            } else {
                Tone::Faint
            },
            &name,
        ));
    }
    let keys = screen.paint(Tone::Faint, "tab next · space hold · q quit");
    vec![
        first,
        format!("{}   {keys}", views.join("  ")),
        String::new(),
    ]
}

fn overview(history: &History, screen: Screen, lines: &mut Vec<String>) {
    let seen = &history.last;
    let label = |name: &str| screen.paint(Tone::Faint, &format!("{name:<11}"));
    let totals = &seen.stats["totals"];
    let rate = history.rates().last();
    let rate = rate.map_or_else(|| "…".to_owned(), |rate| format!("{rate:.1}/s"));
    let room = screen.width.unwrap_or(80).saturating_sub(24);
    lines.push(format!(
        "{}{rate:>10}  {}",
        label("throughput"),
        curve(history.rates(), room)
    ));
    let number = |value: &Value| count(value.as_u64().unwrap_or_default());
    lines.push(format!(
        "{}{} completed, {} failed, {} retries since {}",
        label("finished"),
        number(&totals["completed"]),
        number(&totals["failed"]),
        number(&totals["retries"]),
        ago(&text(&seen.stats["since"])),
    ));
    let (busy, slots) = (
        &seen.workers["total"]["busy"],
        &seen.workers["total"]["slots"],
    );
    let (busy, slots) = (busy.as_u64().unwrap_or(0), slots.as_u64().unwrap_or(0));
    lines.push(format!(
        "{}{} {busy} of {slots} busy",
        label("slots"),
        bar(busy, slots)
    ));
    lines.push(String::new());
    backlog(&seen.queues, screen, lines);
    lines.push(String::new());
    push(lines, &categories(history).show(screen));
    lines.push(String::new());
    lines.push(format!(
        "{}{}",
        label("breakers"),
        breaker_line(&seen.breakers, screen)
    ));
    for problem in items(&seen.health, "problems") {
        let problem = cut(
            &one_line(&text(problem)),
            screen.width.unwrap_or(usize::MAX),
        );
        lines.push(screen.paint(Tone::Bad, &problem));
    }
}

fn backlog(queues: &Value, screen: Screen, lines: &mut Vec<String>) {
    let waiting = |priority: Priority| -> u64 {
        let queues = queues["queues"].as_object().into_iter().flatten();
        let of = |(_, queue): (_, &Value)| queue["by_priority"][priority.api_name()].as_u64();
        queues.filter_map(of).sum()
    };
    let most = Priority::ALL
        .map(waiting)
        .into_iter()
        .max()
        .unwrap_or(0)
        .max(1);
    for priority in Priority::ALL {
        let n = waiting(priority);
        let cells = (n * BAR_CELLS as u64).div_ceil(most) as usize;
        let name = screen.paint(
            Tone::Faint,
            &format!("{:<11}", priority.api_name().to_lowercase()),
        );
        lines.push(
            format!("{name}{:>10}  {}", count(n), "▇".repeat(cells))
                .trim_end()
                .to_owned(),
        );
    }
}

fn categories(history: &History) -> Table {
    let seen = &history.last;
    let columns = [
        Column::text("CATEGORY"),
        Column::number("PER SECOND"),
        Column::number("WAITS"),
        Column::number("RUNS"),
        Column::number("BUSY"),
        Column::number("SLOTS"),
        Column::number("WAIT NOW"),
        Column::number("WAITED p95"),
        Column::number("RAN p95"),
        Column::number("FAILED"),
        Column::prose("PAUSED"),
    ];
    let mut table = Table::new(columns);
    for queue_name in names::ordered(&seen.queues["queues"]) {
        let name = names::of_queue(queue_name);
        let queue = &seen.queues["queues"][queue_name];
        let (figures, team) = (
            &seen.stats["by_category"][name],
            &seen.workers["workers"][name],
        );
        let number = |value: &Value| Cell::from(value.as_u64().map(count).unwrap_or_default());
        let time = |value: &Value| Cell::from(value.as_f64().map(seconds).unwrap_or_default());
        let rate = history.rate(figures, &["by_category", name]);
        let paused: Vec<String> = items(queue, "paused").map(text).collect();
        table.row([
            name.into(),
            rate.map(|rate| format!("{rate:.1}"))
                .unwrap_or_default()
                .into(),
            number(&queue["size"]),
            number(&queue["in_flight"]),
            number(&team["busy"]),
            number(&team["slots"]),
            history
                .waits_now(name)
                .map(seconds)
                .unwrap_or_default()
                .into(),
            time(&figures["wait_seconds"]["p95"]),
            time(&figures["duration_seconds"]["p95"]),
            number(&figures["failed"]),
            Cell::toned(paused.join(" "), Tone::Warn),
        ]);
    }
    table
}

fn breaker_line(breakers: &Value, screen: Screen) -> String {
    let all = breakers["circuit_breakers"]
        .as_object()
        .into_iter()
        .flatten();
    let shown = all.map(|(name, breaker)| {
        let state = text(&breaker["state"]);
        let tone = crate::commands::state_tone(&state);
        format!("{name} {}", screen.paint(tone, &state.replace('_', " ")))
    });
    shown.collect::<Vec<_>>().join(" · ")
}

/// What the breakers did lately, the newest first.
fn changes(stats: &Value) -> Table {
    let columns = [
        Column::text("WHEN"),
        Column::text("BREAKER"),
        Column::text("BECAME"),
        Column::prose("CAUSE"),
    ];
    let mut table = Table::new(columns);
    let history: Vec<&Value> = items(stats, "breaker_history").collect();
    for change in history.into_iter().rev() {
        let state = text(&change["to"]);
        let tone = crate::commands::state_tone(&state);
        table.row([
            ago(&text(&change["at"])).into(),
            text(&change["dependency"]).into(),
            Cell::toned(state.replace('_', " "), tone),
            text(&change["cause"]).into(),
        ]);
    }
    table
}

fn bar(part: u64, whole: u64) -> String {
    let cells = (part.min(whole) * BAR_CELLS as u64)
        .checked_div(whole)
        .unwrap_or(0) as usize;
    "█".repeat(cells) + &"░".repeat(BAR_CELLS - cells)
}

fn push(lines: &mut Vec<String>, text: &str) {
    lines.extend(text.lines().map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use unicode_width::UnicodeWidthStr;

    use super::super::sample::tests::sample;
    use super::*;

    fn history() -> History {
        let began = Instant::now();
        let mut history = History::new(sample(100, began));
        history.add(sample(150, began + Duration::from_secs(2)));
        history
    }

    fn picture(view: View, width: usize) -> String {
        let screen = Screen::plain(Some(width));
        draw(&history(), view, "http://h", Some("away"), screen).join("\n")
    }

    #[test]
    fn the_overview_has_it_all() {
        let shown = picture(View::Overview, 120);
        for part in [
            "NOT HEALTHY",
            "away",
            "25.0/s",
            "4 of 10 busy",
            "openai open",
            "BULK",
            "no stats service",
            "150 completed",
            "20.0 ms",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(
            shown
                .lines()
                .any(|line| line.starts_with("critical") && line.contains("5  ▇▇▇"))
        );
    }

    #[test]
    fn views_follow_each_other_around() {
        let mut view = View::Overview;
        for expected in [View::Queues, View::Workers, View::Breakers, View::Overview] {
            view = view.next();
            assert_eq!(view, expected);
        }
        assert_eq!(View::Overview.before(), View::Breakers);
        assert_eq!(View::number(3), Some(View::Workers));
        assert_eq!((View::number(0), View::number(9)), (None, None));
        assert!(picture(View::Workers, 100).contains("query-1"));
        let breakers = picture(View::Breakers, 100);
        assert!(
            breakers.contains("503") && breakers.contains("the probe failed"),
            "{breakers}"
        );
    }

    #[test]
    fn bars_are_as_long_as_there_is_room() {
        assert_eq!(bar(0, 0).width(), BAR_CELLS);
        assert_eq!(bar(9, 3), "█".repeat(BAR_CELLS));
    }
}
