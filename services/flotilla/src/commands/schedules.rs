//! `flotilla schedules`: recurring tasks.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::names::CategoryName;
use super::terms::Terms;
use super::{fields, items, names, text};
use crate::client::Api;
use crate::exit::{Done, Failed, note};
use crate::terminal::{Column, Screen, Table, Tone, clock, until};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List {
        /// How many at most, up to 500
        #[arg(long, short = 'n', default_value_t = 100)]
        limit: usize,
        /// Goes on where the page before has ended
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
    /// Makes one
    Create(Box<Create>),
    Show {
        id: String,
    },
    /// Removes them; runs that are queued already stay
    #[command(visible_alias = "remove")]
    Delete {
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_help = fields::HELP)]
pub(crate) struct Create {
    #[arg(value_parser = names::category())]
    category: CategoryName,
    /// Five fields, minute first; six, second first; or @hourly, @daily, @every 90s
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    /// An IANA name, like Europe/Berlin; UTC where none is given
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    #[arg(long)]
    id: Option<String>,
    /// Changes the schedule of this id, where there is one
    #[arg(long, requires = "id")]
    replace: bool,
    /// The payload of each run: JSON, or field=value for each field
    #[arg(value_name = "FIELD=VALUE")]
    payload: Vec<String>,
    #[command(flatten)]
    terms: Terms,
}

pub(crate) async fn run(command: Command, api: &Api, screen: Screen) -> Done {
    match command {
        Command::List { limit, after } => {
            let call = api
                .get(&["schedules"])
                .query("limit", limit)
                .maybe("after", after);
            let page = call.send().await?;
            if screen.is_json {
                return screen.line(page.text.trim_end());
            }
            screen.write(&table(items(&page.body, "schedules")).show(screen))?;
            match page.body["next"].as_u64() {
                Some(next) => {
                    screen.line(screen.paint(Tone::Faint, &format!("more: --after {next}")))
                }
                None => Ok(()),
            }
        }
        Command::Create(create) => {
            let made = create.call(api)?.send().await?;
            match screen.is_json {
                true => screen.line(made.text.trim_end()),
                false => screen.write(&table([&made.body]).show(screen)),
            }
        }
        Command::Show { id } => {
            let schedule = api.get(&["schedules", &id]).send().await?;
            if screen.is_json {
                return screen.line(schedule.text.trim_end());
            }
            screen.write(&table([&schedule.body]).show(screen))?;
            let payload = serde_json::to_string_pretty(&schedule.body["payload"]);
            screen.line(crate::terminal::lines(&payload.unwrap_or_default()))
        }
        Command::Delete { ids } => delete(&ids, api, screen).await,
    }
}

async fn delete(ids: &[String], api: &Api, screen: Screen) -> Done {
    let mut worst = Ok(());
    for id in ids {
        match api.call(Method::DELETE, &["schedules", id]).send().await {
            Ok(_) if screen.is_json => {}
            Ok(_) => screen.line(format!("{id}  removed"))?,
            Err(failed) if ids.len() == 1 => return Err(failed),
            Err(failed) => {
                note(format!("{id}: {failed}"));
                worst = worst.and(Err(Failed::told(failed.code)));
            }
        }
    }
    worst
}

impl Create {
    fn call<'a>(&self, api: &'a Api) -> Result<crate::client::Call<'a>, Failed> {
        let payload = fields::parse(&self.payload)?;
        let mut body = Map::new();
        self.terms.put(&mut body);
        body.extend([
            ("category".to_owned(), json!(self.category.name())),
            ("cron".to_owned(), json!(self.cron)),
            ("payload".to_owned(), payload.into()),
        ]);
        if let Some(zone) = &self.time_zone {
            body.insert("time_zone".to_owned(), json!(zone));
        }
        let call = match (&self.id, self.replace) {
            (Some(id), true) => api.call(Method::PUT, &["schedules", id]),
            (id, _) => {
                if let Some(id) = id {
                    body.insert("id".to_owned(), json!(id));
                }
                api.call(Method::POST, &["schedules"])
            }
        };
        Ok(call.body(body.into()))
    }
}

fn table<'a>(schedules: impl IntoIterator<Item = &'a Value>) -> Table {
    let columns = [
        Column::text("SCHEDULE"),
        Column::text("CATEGORY"),
        Column::text("PRIORITY"),
        Column::text("CRON"),
        Column::text("ZONE"),
        Column::text("NEXT RUN"),
        Column::prose("PAYLOAD"),
    ];
    let mut table = Table::new(columns);
    for schedule in schedules {
        let next = schedule["next_run_at"].as_str();
        let next = next.map(|at| format!("{} ({})", until(at), clock(at)));
        table.row([
            text(&schedule["id"]).into(),
            text(&schedule["category"]).into(),
            text(&schedule["priority"]).into(),
            text(&schedule["cron"]).into(),
            text(&schedule["time_zone"]).into(),
            next.unwrap_or_else(|| "never".to_owned()).into(),
            schedule["payload"].to_string().into(),
        ]);
    }
    table
}
