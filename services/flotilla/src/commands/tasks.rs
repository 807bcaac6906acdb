//! `flotilla tasks`: list, show, watch, cancel, retry.

use std::time::Duration;

use flotilla_common::model::Priority;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::chosen::{self, Filter as _, given};
use super::follow::{end, follow};
use super::names::CategoryName;
use super::{items, names, state_cell, task_text, text, watch};
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Cell, Column, Screen, Table, Tone, ago, seconds};

mod bulk;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Tasks, the newest first
    List(List),
    /// One task: its state, attempts, why it waits, its result
    Show {
        id: String,
        /// Waits for the outcome, and ends with 1 where it is no good one
        #[arg(long, short, value_name = "DURATION", value_parser = names::span)]
        wait: Option<Duration>,
    },
    /// What becomes of a task, as it happens; ends with its outcome
    Watch {
        id: String,
        /// Gives up after this time
        #[arg(long, value_name = "DURATION", value_parser = names::span)]
        timeout: Option<Duration>,
    },
    /// Cancels tasks, by their ids or by a filter
    Cancel(bulk::Args),
    /// Runs failed, cancelled or expired tasks once more, by their ids or by a filter
    Retry(bulk::Retry),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    #[arg(long, short, value_parser = names::category())]
    category: Vec<CategoryName>,
    #[arg(long, short, value_parser = names::priority(), ignore_case = true)]
    priority: Vec<Priority>,
    #[arg(long, short, value_parser = ["queued", "scheduled", "running", "retrying", "completed", "failed", "cancelled", "expired"])]
    state: Vec<String>,
    /// What went wrong last, like http_error
    #[arg(long, value_name = "CLASS")]
    error_class: Vec<String>,
    /// Words of the error's message
    #[arg(long)]
    text: Option<String>,
    #[arg(long)]
    brand: Option<String>,
    /// Changed since then: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = names::moment)]
    since: Option<Timestamp>,
    /// Changed before then
    #[arg(long, value_name = "TIME", value_parser = names::moment)]
    until: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many at most, up to 500
    #[arg(long, short = 'n', default_value_t = 25)]
    limit: usize,
    /// Goes on where the page before has ended
    #[arg(long, value_name = "NEXT")]
    cursor: Option<String>,
}

pub(crate) async fn run(command: Command, api: &Api, screen: Screen) -> Done {
    match command {
        Command::List(list) => list_tasks(list, api, screen).await,
        Command::Show { id, wait } => {
            let task = match wait {
                None => api.get(&["tasks", &id]).send().await?,
                Some(within) => follow(api, &id, Some(within)).await?,
            };
            match screen.is_json {
                true => screen.line(task.text.trim_end())?,
                false => screen.write(&task_text::show(&task.body, screen))?,
            }
            wait.map_or(Ok(()), |_| end(&task.body))
        }
        Command::Watch { id, timeout } => watch::run(&id, timeout, api, screen).await,
        Command::Cancel(which) => bulk::cancel(&which, api, screen).await,
        Command::Retry(retry) => bulk::retry(&retry, api, screen).await,
    }
}

impl chosen::Filter for Filter {
    fn members(&self) -> Map<String, Value> {
        let categories: Vec<&str> = self.category.iter().map(|c| c.name()).collect();
        let priorities: Vec<&str> = self.priority.iter().map(|p| p.api_name()).collect();
        let any_of = |names: Vec<&str>| (!names.is_empty()).then(|| json!(names));
        let names = |names: &[String]| (!names.is_empty()).then(|| json!(names));
        given([
            ("category", any_of(categories)),
            ("priority", any_of(priorities)),
            ("state", names(&self.state)),
            ("error_class", names(&self.error_class)),
            ("text", self.text.as_ref().map(|text| json!(text))),
            ("brand", self.brand.as_ref().map(|brand| json!(brand))),
            ("since", self.since.map(|at| json!(at))),
            ("until", self.until.map(|at| json!(at))),
        ])
    }
}

async fn list_tasks(list: List, api: &Api, screen: Screen) -> Done {
    let mut call = api
        .get(&["tasks"])
        .query("limit", list.limit)
        .maybe("cursor", list.cursor);
    for (name, value) in list.filter.members() {
        let value = match value {
            Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(","),
            value => text(&value),
        };
        call = call.query(&name, value);
    }
    let page = call.send().await?;
    if screen.is_json {
        return screen.line(page.text.trim_end());
    }
    let columns = [
        Column::text("TASK"),
        Column::text("STATE"),
        Column::text("CATEGORY"),
        Column::text("PRIORITY"),
        Column::text("SUBMITTED"),
        Column::text("CHANGED"),
        Column::number("RAN FOR"),
        Column::number("RETRIES"),
        Column::prose("BRAND"),
        Column::prose("ERROR"),
    ];
    let mut table = Table::new(columns);
    for task in items(&page.body, "tasks") {
        let error = match task["error"]["code"].as_str() {
            Some(code) => format!("{code}: {}", text(&task["error"]["message"])),
            None => String::new(),
        };
        table.row([
            text(&task["task_id"]).into(),
            state_cell(&text(&task["status"])),
            text(&task["category"]).into(),
            text(&task["priority"]).into(),
            ago(&text(&task["submitted_at"])).into(),
            ago(&text(&task["updated_at"])).into(),
            task["duration_seconds"]
                .as_f64()
                .map(seconds)
                .unwrap_or_default()
                .into(),
            text(&task["retries"]).into(),
            text(&task["brand"]).into(),
            Cell::from(error),
        ]);
    }
    screen.write(&table.show(screen))?;
    match page.body["next"].as_str() {
        Some(next) => screen.line(screen.paint(Tone::Faint, &format!("more: --cursor {next}"))),
        None => Ok(()),
    }
}
