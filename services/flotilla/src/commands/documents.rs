//! `flotilla documents`: what is indexed.

use serde_json::Value;

use super::{confirm, items, text};
use crate::client::Api;
use crate::exit::Done;
use crate::terminal::{Column, Screen, Table, Tone, ago, one_line};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List {
        /// Only of this brand; '' for those of none
        #[arg(long)]
        brand: Option<String>,
        /// How many at most, up to 500
        #[arg(long, short = 'n', default_value_t = 25)]
        limit: usize,
        /// Goes on where the page before has ended
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
    Show {
        key: String,
    },
    /// Takes a document out of the index
    Retire {
        key: String,
        /// Does not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(command: Command, api: &Api, screen: Screen) -> Done {
    match command {
        Command::List {
            brand,
            limit,
            after,
        } => {
            let call = api.get(&["documents"]).query("limit", limit);
            let page = call
                .maybe("brand", brand)
                .maybe("after", after)
                .send()
                .await?;
            if screen.is_json {
                return screen.line(page.text.trim_end());
            }
            screen.write(&table(&page.body).show(screen))?;
            match page.body["next"].as_u64() {
                Some(next) => {
                    screen.line(screen.paint(Tone::Faint, &format!("more: --after {next}")))
                }
                None => Ok(()),
            }
        }
        Command::Show { key } => {
            let document = api.get(&["documents", &key]).send().await?;
            match screen.is_json {
                true => screen.line(document.text.trim_end()),
                false => screen.write(&facts(&document.body, screen)),
            }
        }
        Command::Retire { key, yes } => {
            confirm(yes, &format!("retire document {key}?"))?;
            let retired = api
                .call(axum::http::Method::DELETE, &["documents", &key])
                .send()
                .await?;
            match screen.is_json {
                true => screen.line(retired.text.trim_end()),
                false => screen.line(format!("{key}  retired")),
            }
        }
    }
}

fn table(page: &Value) -> Table {
    let columns = [
        Column::text("KEY"),
        Column::prose("TITLE"),
        Column::prose("BRAND"),
        Column::number("CHUNKS"),
        Column::text("STORED"),
        Column::prose("ADDRESS"),
    ];
    let mut table = Table::new(columns);
    for document in items(page, "documents") {
        let address = document["url"].as_str().or(document["id"].as_str());
        table.row([
            text(&document["key"]).into(),
            text(&document["title"]).into(),
            text(&document["brand"]).into(),
            text(&document["chunks"]).into(),
            ago(&text(&document["stored_at"])).into(),
            address.unwrap_or_default().into(),
        ]);
    }
    table
}

/// Every member that there is.
fn facts(document: &Value, screen: Screen) -> String {
    let members = document.as_object().into_iter().flatten();
    members
        .map(|(name, value)| {
            let name = screen.paint(Tone::Faint, &format!("{name:<14}"));
            format!("{name}{}\n", one_line(&text(value)))
        })
        .collect()
}
