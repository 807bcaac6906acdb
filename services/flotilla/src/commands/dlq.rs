//! `flotilla dlq`: dead letters, looked at, mended, run again or thrown away.

use axum::http::Method;
use flotilla_common::model::Priority;
use serde_json::{Map, Value, json};

use super::chosen::{self, Chosen, Filter as _, given};
use super::names::CategoryName;
use super::{confirm, fields, items, names, text};
use crate::client::{Answer, Api};
use crate::exit::{Code, Done, Failed, note};
use crate::terminal::{Progress, Screen, count};

mod edit;
mod look;

/// Letters that are looked through at once.
const PAGE: usize = 500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The oldest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many at most, up to 500
        #[arg(long, short = 'n', default_value_t = 25)]
        limit: usize,
        /// Goes on where the page before has ended
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
    /// One of them, with its payload and headers
    Show { id: String },
    /// Mends the payload, in $VISUAL or $EDITOR unless it is given here, and runs it again
    Edit {
        id: String,
        /// The payload in the place of the old one
        #[arg(long, value_name = "JSON", conflicts_with = "patch")]
        payload: Option<String>,
        /// What of it is to change (RFC 7396: null removes)
        #[arg(long, value_name = "JSON")]
        patch: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Runs them again, by their ids or by a filter, each as a task of its own
    Requeue {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
        /// Of many, so many a second
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
    },
    /// Throws them away for good, by their ids or by a filter
    Purge(Which),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    #[arg(long, short, value_parser = names::category())]
    category: Option<CategoryName>,
    /// Why they died, like http_error
    #[arg(long)]
    code: Option<String>,
    /// Words of the reason
    #[arg(long)]
    text: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct How {
    #[arg(long, short, value_parser = names::priority(), ignore_case = true)]
    priority: Option<Priority>,
    /// Attempts after the first, 0 to 20
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
}

type Which = Chosen<Filter>;

pub(crate) async fn run(command: Command, api: &Api, screen: Screen) -> Done {
    match command {
        Command::List {
            filter,
            limit,
            after,
        } => look::list(&filter, limit, after, api, screen).await,
        Command::Show { id } => {
            let letter = api.get(&["dead-letters", &id]).send().await?;
            match screen.is_json {
                true => screen.line(letter.text.trim_end()),
                false => look::show(&letter.body, screen),
            }
        }
        Command::Edit {
            id,
            payload,
            patch,
            how,
        } => {
            let change = match (payload, patch) {
                (Some(payload), _) => ("payload", fields::object(&payload, "--payload")?),
                (_, Some(patch)) => ("patch", fields::object(&patch, "--patch")?),
                (None, None) => ("payload", edit::in_editor(&id, api).await?),
            };
            let mut body = how.members();
            body.insert(change.0.to_owned(), change.1.into());
            requeued(
                &api.post(&["dead-letters", &id, "requeue"], body.into())
                    .send()
                    .await?,
                screen,
            )
        }
        Command::Requeue { which, how, rate } => requeue(&which, &how, rate, api, screen).await,
        Command::Purge(which) => purge(&which, api, screen).await,
    }
}

impl chosen::Filter for Filter {
    fn members(&self) -> Map<String, Value> {
        let category = self
            .category
            .as_ref()
            .map(|category| json!(category.name()));
        given([
            ("category", category),
            ("code", self.code.as_ref().map(|code| json!(code))),
            ("text", self.text.as_ref().map(|text| json!(text))),
        ])
    }
}

impl Filter {
    async fn page(&self, limit: usize, after: Option<u64>, api: &Api) -> Result<Answer, Failed> {
        let mut call = api
            .get(&["dead-letters"])
            .query("limit", limit)
            .maybe("after", after);
        for (name, value) in self.members() {
            call = call.query(&name, text(&value));
        }
        call.send().await
    }
}

impl How {
    fn members(&self) -> Map<String, Value> {
        let priority = self.priority.map(|priority| json!(priority.api_name()));
        given([
            ("priority", priority),
            ("max_retries", self.max_retries.map(|n| json!(n))),
        ])
    }
}

/// Whether it is by ids.
fn is_by_ids(which: &Which) -> Result<bool, Failed> {
    which.is_by_ids("which dead letters are meant?", "--code http_error")
}

fn requeued(answer: &Answer, screen: Screen) -> Done {
    if screen.is_json {
        return screen.line(answer.text.trim_end());
    }
    let (old, new) = (
        text(&answer.body["requeue_of"]),
        text(&answer.body["task_id"]),
    );
    screen.line(format!("{old}  runs again as {new}"))
}

async fn requeue(which: &Which, how: &How, rate: Option<f64>, api: &Api, screen: Screen) -> Done {
    if is_by_ids(which)? {
        return each(&which.ids, async |id| {
            if which.dry_run {
                api.get(&["dead-letters", id]).send().await?;
                return screen.line(id);
            }
            let call = api.post(&["dead-letters", id, "requeue"], how.members().into());
            requeued(&call.send().await?, screen)
        })
        .await;
    }
    let order = |is_dry: bool| {
        let mut body = how.members();
        body.insert("filter".to_owned(), which.filter.members().into());
        body.insert("dry_run".to_owned(), is_dry.into());
        if let Some(rate) = rate {
            body.insert("rate_per_second".to_owned(), rate.into());
        }
        api.post(&["dead-letters", "requeue"], body.into())
    };
    if !which.dry_run && !which.yes {
        let would = order(true).send().await?;
        confirm(
            false,
            &format!("run {} dead letters again?", would.body["count"]),
        )?;
    }
    let answer = order(which.dry_run).send().await?;
    if screen.is_json {
        return screen.line(answer.text.trim_end());
    }
    for id in items(&answer.body, "task_ids") {
        screen.line(text(id))?;
    }
    let more = if answer.body["more"] == true {
        "; there are more"
    } else {
        ""
    };
    let verb = if which.dry_run { "would run" } else { "run" };
    note(format!("{} {verb} again{more}", answer.body["count"]));
    Ok(())
}

async fn purge(which: &Which, api: &Api, screen: Screen) -> Done {
    let ids = match is_by_ids(which)? {
        true => which.ids.clone(),
        false => matching(&which.filter, api).await?,
    };
    if which.dry_run {
        ids.iter().try_for_each(|id| screen.line(id))?;
        note(format!("{} would be thrown away", count(ids.len() as u64)));
        return Ok(());
    }
    confirm(
        which.yes,
        &format!("throw {} dead letters away for good?", ids.len()),
    )?;
    let mut progress = Progress::new("thrown away", Some(ids.len() as u64));
    let mut done = 0;
    each(&ids, async |id| {
        api.call(Method::DELETE, &["dead-letters", id])
            .send()
            .await?;
        done += 1;
        progress.show(done, "");
        if screen.is_json {
            Ok(())
        } else {
            screen.line(format!("{id}  thrown away"))
        }
    })
    .await
}

/// All at the time of the look: what dies meanwhile is not meant.
async fn matching(filter: &Filter, api: &Api) -> Result<Vec<String>, Failed> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = filter.page(PAGE, after, api).await?;
        ids.extend(items(&page.body, "dead_letters").map(|letter| text(&letter["task_id"])));
        after = page.body["next"].as_u64();
        if after.is_none() {
            return Ok(ids);
        }
    }
}

/// All are tried; the first that fails names the exit code.
async fn each(ids: &[String], mut act: impl AsyncFnMut(&str) -> Done) -> Done {
    let mut worst = Ok(());
    for id in ids {
        match act(id).await {
            Ok(()) => {}
            Err(failed) if ids.len() == 1 || failed.code == Code::Unreachable => {
                return Err(failed);
            }
            Err(failed) => {
                note(format!("{id}: {failed}"));
                worst = worst.and(Err(Failed::told(failed.code)));
            }
        }
    }
    worst
}
