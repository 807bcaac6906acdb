//! The commands, a file for each noun or verb.

pub(crate) mod ask;
pub(crate) mod bench;
pub(crate) mod breakers;
mod chosen;
pub(crate) mod dlq;
pub(crate) mod documents;
mod fields;
mod follow;
mod many;
pub(crate) mod names;
pub(crate) mod queues;
pub(crate) mod schedules;
pub(crate) mod stats;
pub(crate) mod submit;
mod task_text;
pub(crate) mod tasks;
mod terms;
mod watch;
pub(crate) mod workers;

use std::io::IsTerminal;

use serde_json::Value;

use crate::exit::{Code, Done, Failed, prompt};
use crate::terminal::{Cell, Tone};

/// A member of an answer, as a cell: empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The state of a task in the colour of its kind.
fn state_cell(state: &str) -> Cell {
    Cell::toned(state, state_tone(state))
}

pub(crate) fn state_tone(state: &str) -> Tone {
    match state {
        "completed" | "closed" | "up" => Tone::Good,
        "failed" | "expired" | "open" | "down" => Tone::Bad,
        "retrying" | "cancelled" | "half_open" => Tone::Warn,
        "running" => Tone::Strong,
        _ => Tone::Plain,
    }
}

/// Objects in an array member.
pub(crate) fn items<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer[name].as_array().into_iter().flatten()
}

/// Asks before something that cannot be undone, unless that was agreed to on the command line.
fn confirm(is_agreed: bool, question: &str) -> Done {
    if is_agreed {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(
            Failed::usage("this cannot be undone, and there is nobody to ask")
                .remedy("add --yes, or look first with --dry-run"),
        );
    }
    prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Failed::new(Code::Refused, "nothing was done")),
    }
}
