//! `flotilla breakers`: list, reset, hold open.

use flotilla_common::model::Dependency;
use serde_json::{Value, json};

use super::{names, state_tone, text};
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Cell, Column, Screen, Table, ago, seconds};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List,
    /// Closes a breaker, whatever has opened it
    Reset(Order),
    /// Holds a breaker open, in the whole fleet, until it is reset
    Open(Order),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Order {
    #[arg(value_parser = names::dependency())]
    name: Dependency,
    /// Why, for whoever looks at it
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
}

pub(crate) async fn run(command: Command, api: &Api, screen: Screen) -> Done {
    let (verb, order) = match command {
        Command::List => return list(api, screen).await,
        Command::Reset(order) => ("reset", order),
        Command::Open(order) => ("open", order),
    };
    let body = order
        .cause
        .map_or(json!({}), |cause| json!({"cause": cause}));
    let name = order.name.name();
    let breaker = api
        .post(&["circuit-breakers", name, verb], body)
        .send()
        .await?;
    match screen.is_json {
        true => screen.line(breaker.text.trim_end()),
        false => screen.write(&table([(name, &breaker.body)]).show(screen)),
    }
}

async fn list(api: &Api, screen: Screen) -> Done {
    let breakers = api.get(&["circuit-breakers"]).send().await?;
    if screen.is_json {
        return screen.line(breakers.text.trim_end());
    }
    screen.write(&all(&breakers.body).show(screen))
}

pub(crate) fn all(breakers: &Value) -> Table {
    let rows = breakers["circuit_breakers"]
        .as_object()
        .into_iter()
        .flatten();
    table(rows.map(|(name, breaker)| (name.as_str(), breaker)))
}

fn table<'a>(breakers: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Table {
    let columns = [
        Column::text("BREAKER"),
        Column::text("STATE"),
        Column::number("FAILURES"),
        Column::number("OPENS AT"),
        Column::number("FOR"),
        Column::text("SINCE"),
        Column::prose("CAUSE"),
    ];
    let mut table = Table::new(columns);
    for (name, breaker) in breakers {
        let state = text(&breaker["state"]);
        let shown = match breaker["forced"] == true {
            true => "held open".to_owned(),
            false => state.replace('_', " "),
        };
        table.row([
            name.into(),
            Cell::toned(shown, state_tone(&state)),
            text(&breaker["failures"]).into(),
            text(&breaker["threshold"]).into(),
            breaker["timeout_seconds"]
                .as_f64()
                .map(seconds)
                .unwrap_or_default()
                .into(),
            breaker["since"]
                .as_str()
                .map(ago)
                .unwrap_or_default()
                .into(),
            text(&breaker["cause"]).into(),
        ]);
    }
    table
}
