//! `flotilla submit`: one task, or many from a file.

use std::time::Duration;

use serde_json::{Map, Value};

use super::follow::{end, follow, outcome};
use super::names::CategoryName;
use super::terms::{Terms, When};
use super::{fields, many, names, task_text, text};
use crate::client::Api;
use crate::exit::{Done, Failed};
use crate::terminal::Screen;

#[derive(Debug, clap::Args)]
#[command(after_help = fields::HELP)]
pub(crate) struct Args {
    #[arg(value_parser = names::category())]
    pub(super) category: CategoryName,
    /// The payload: JSON, or field=value for each field
    #[arg(value_name = "FIELD=VALUE", conflicts_with = "file")]
    payload: Vec<String>,
    /// Many tasks: a payload a line (NDJSON), or a URL a line for scraping; '-' is standard input
    #[arg(long, short, value_name = "FILE")]
    pub(super) file: Option<String>,
    /// Of those, how many are submitted at once
    #[arg(long, value_name = "N", default_value_t = 32, requires = "file",
          value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(super) in_flight: u16,
    /// Waits for the outcome, and ends with 1 where it is no good one; for ever, unless a time is given
    #[arg(long, short, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "", value_parser = time_to_wait)]
    pub(super) wait: Option<Wait>,
    /// The task's own id, or a key: submitting again under it is submitting once
    #[arg(long, conflicts_with_all = ["file", "key"])]
    id: Option<String>,
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    key: Option<String>,
    #[command(flatten)]
    pub(super) terms: Terms,
    #[command(flatten)]
    pub(super) when: When,
}

/// How long to wait for an outcome; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Option<Duration>);

pub(super) fn time_to_wait(text: &str) -> Result<Wait, String> {
    match text {
        "" => Ok(Wait(None)),
        text => names::span(text).map(|span| Wait(Some(span))),
    }
}

pub(crate) async fn run(args: Args, api: &Api, screen: Screen) -> Done {
    if let Some(file) = &args.file {
        return many::run(file, &args, api, screen).await;
    }
    let mut body = fields::parse(&args.payload)?;
    if body.is_empty() {
        return Err(Failed::usage("there is nothing to submit").remedy(
            "give the payload's fields, like url=https://example.com/, or many with --file",
        ));
    }
    for (name, value) in [("task_id", &args.id), ("idempotency_key", &args.key)] {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.as_str().into());
        }
    }
    args.dress(&mut body)?;
    // Nothing is held back: whoever wants to wait follows the task.
    let accepted = api
        .post(&args.category.path(), body.into())
        .query("wait", 0)
        .send()
        .await?;
    let task = match args.wait {
        Some(Wait(within)) if outcome(&accepted.body).is_none() => {
            follow(api, accepted.text_of("task_id"), within).await?
        }
        _ => accepted,
    };
    match (screen.is_json, args.wait) {
        (true, _) => screen.line(task.text.trim_end())?,
        (false, Some(_)) => screen.write(&task_text::show(&task.body, screen))?,
        (false, None) => screen.line(said(&task.body))?,
    }
    match args.wait {
        Some(_) => end(&task.body),
        None => Ok(()),
    }
}

/// The id alone: for people, and for `$(…)`.
fn said(task: &Value) -> String {
    text(&task["task_id"])
}

impl Args {
    /// What was said on the command line, put over a payload.
    pub(super) fn dress(&self, body: &mut Map<String, Value>) -> Done {
        self.terms.put(body);
        self.when.put(body);
        // Said before it is submitted: the gateway would only say so afterwards.
        if self.wait.is_some() && body.get("keep_outcome") == Some(&Value::from("failures")) {
            let what = "a success that is not recorded (keep_outcome) cannot be waited for";
            return Err(Failed::usage(what).remedy("leave out --wait, or keep every outcome"));
        }
        Ok(())
    }
}
