//! `flotilla queues`: what waits, and what operators set for a category.

use flotilla_common::model::Priority;
use serde_json::{Value, json};

use super::names::CategoryName;
use super::{names, text};
use crate::client::{Answer, Api};
use crate::exit::Done;
use crate::terminal::{Cell, Column, Screen, Table, Tone, count};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What waits and runs, where nothing is said
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What waits and runs, by category and priority
    List,
    /// Starts no further task of a category, or of one priority of it
    Pause(Target),
    /// Lets it go on
    Resume(Target),
    /// Sets the slots of every worker process of a category, live
    Slots {
        #[arg(value_parser = names::category())]
        category: CategoryName,
        /// How many, or 'default' for the configured number
        #[arg(value_parser = slots)]
        slots: Slots,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    #[arg(value_parser = names::category())]
    category: CategoryName,
    #[arg(long, short, value_parser = names::priority(), ignore_case = true)]
    priority: Option<Priority>,
}

/// `None`: as configured.
#[derive(Debug, Clone, Copy)]
struct Slots(Option<usize>);

fn slots(text: &str) -> Result<Slots, String> {
    match text {
        "default" => Ok(Slots(None)),
        text => text
            .parse()
            .map(|n| Slots(Some(n)))
            .map_err(|_| "write a number, or default".to_owned()),
    }
}

pub(crate) async fn run(args: Args, api: &Api, screen: Screen) -> Done {
    match args.command.unwrap_or(Command::List) {
        Command::List => {
            let queues = api.get(&["queues"]).send().await?;
            match screen.is_json {
                true => screen.line(queues.text.trim_end()),
                false => screen.write(&table(&queues.body).show(screen)),
            }
        }
        Command::Pause(target) => target.change("pause", api, screen).await,
        Command::Resume(target) => target.change("resume", api, screen).await,
        Command::Slots { category, slots } => {
            let call = api.call(
                axum::http::Method::PUT,
                &["queues", category.name(), "slots"],
            );
            tell(&call.body(json!({"slots": slots.0})).send().await?, screen)
        }
    }
}

impl Target {
    async fn change(self, verb: &str, api: &Api, screen: Screen) -> Done {
        let priority = self.priority.map(Priority::api_name);
        let body = priority.map_or(json!({}), |priority| json!({"priority": priority}));
        tell(
            &api.post(&["queues", self.category.name(), verb], body)
                .send()
                .await?,
            screen,
        )
    }
}

/// How the category stands now.
fn tell(control: &Answer, screen: Screen) -> Done {
    if screen.is_json {
        return screen.line(control.text.trim_end());
    }
    let category = text(&control.body["category"]);
    let paused: Vec<String> = super::items(&control.body, "paused")
        .map(|priority| text(priority).to_uppercase())
        .collect();
    let paused = match paused.len() {
        0 => "runs".to_owned(),
        5 => "is paused".to_owned(),
        _ => format!("is paused for {}", paused.join(", ")),
    };
    let slots = match control.body["slots"].as_u64() {
        Some(slots) => format!("{slots} slots a process"),
        None => "slots as configured".to_owned(),
    };
    screen.line(format!("{category} {paused}, {slots}"))
}

pub(crate) fn table(queues: &Value) -> Table {
    let mut columns = vec![
        Column::text("QUEUE"),
        Column::number("WAITS"),
        Column::number("RUNS"),
    ];
    columns.extend(["CRITICAL", "HIGH", "NORMAL", "LOW", "BULK"].map(Column::number));
    columns.extend([Column::number("SLOTS"), Column::prose("PAUSED")]);
    let mut table = Table::new(columns);
    let number = |value: &Value| Cell::from(value.as_u64().map(count).unwrap_or_default());
    let all = &queues["queues"];
    for name in names::ordered(all) {
        let queue = &all[name];
        let mut row = vec![
            names::of_queue(name).into(),
            number(&queue["size"]),
            number(&queue["in_flight"]),
        ];
        row.extend(
            Priority::ALL.map(|priority| number(&queue["by_priority"][priority.api_name()])),
        );
        let paused: Vec<String> = super::items(queue, "paused").map(text).collect();
        let paused = if paused.len() == Priority::ALL.len() {
            "all".to_owned()
        } else {
            paused.join(" ")
        };
        row.extend([number(&queue["slots"]), Cell::toned(paused, Tone::Warn)]);
        table.row(row);
    }
    let total = &queues["total"];
    table.row([
        "total".into(),
        number(&total["size"]),
        number(&total["in_flight"]),
    ]);
    table
}
