//! Tasks cancelled, or run once more: by their ids, one by one, or all that a filter finds.

use serde_json::{Map, Value, json};

use super::super::chosen::{Chosen, Filter as _, given};
use super::super::{confirm, items, text};
use super::Filter;
use crate::client::{Answer, Api};
use crate::exit::{Code, Done, Failed, note};
use crate::terminal::{Progress, Screen, count};

pub(crate) type Args = Chosen<Filter>;

#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    which: Args,
    /// Attempts after the first, 0 to 20
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
}

/// What is done to them.
struct Order<'a> {
    verb: &'static str,
    which: &'a Args,
    /// What the call takes beside which they are.
    how: Map<String, Value>,
}

pub(super) async fn cancel(which: &Args, api: &Api, screen: Screen) -> Done {
    let order = Order {
        verb: "cancel",
        which,
        how: Map::new(),
    };
    order.carry_out(api, screen).await
}

pub(super) async fn retry(retry: &Retry, api: &Api, screen: Screen) -> Done {
    let order = Order {
        verb: "retry",
        which: &retry.which,
        how: given([("max_retries", retry.max_retries.map(|n| json!(n)))]),
    };
    order.carry_out(api, screen).await
}

impl Order<'_> {
    async fn carry_out(&self, api: &Api, screen: Screen) -> Done {
        let which = format!("which tasks are to {}?", self.verb);
        match self.which.is_by_ids(&which, "--state failed")? {
            true => self.one_by_one(api, screen).await,
            false => self.by_filter(api, screen).await,
        }
    }

    /// All are tried; the first that fails names the exit code.
    async fn one_by_one(&self, api: &Api, screen: Screen) -> Done {
        let mut worst = Ok(());
        let ids = &self.which.ids;
        for id in ids {
            let call = match self.which.dry_run {
                true => api.get(&["tasks", id]),
                false => api.post(&["tasks", id, self.verb], self.how.clone().into()),
            };
            match call.send().await {
                Ok(answer) if screen.is_json => screen.line(answer.text.trim_end())?,
                Ok(answer) => screen.line(self.said(id, &answer.body))?,
                Err(failed) if ids.len() == 1 => return Err(failed),
                Err(failed) => {
                    note(format!("{id}: {failed}"));
                    worst = worst.and(Err(Failed::told(failed.code)));
                }
            }
        }
        worst
    }

    fn said(&self, id: &str, answer: &Value) -> String {
        match (self.which.dry_run, self.verb) {
            (true, _) => format!("{id}  {}", text(&answer["status"])),
            (false, "cancel") => {
                format!(
                    "{id}  cancelled, was {}",
                    text(&answer["was"]).replace('_', " ")
                )
            }
            (false, _) => format!("{id}  runs again as {}", text(&answer["task_id"])),
        }
    }

    async fn by_filter(&self, api: &Api, screen: Screen) -> Done {
        if self.which.dry_run || !self.which.yes {
            let would = self.call(true, None, api).await?;
            let n = how_many(&would.body);
            if !self.which.dry_run {
                confirm(false, &format!("{} {n} tasks?", self.verb))?;
            } else if screen.is_json {
                return screen.line(would.text.trim_end());
            } else {
                for task in items(&would.body, "sample") {
                    screen.line(format!(
                        "{}  {}",
                        text(&task["task_id"]),
                        text(&task["status"])
                    ))?;
                }
                note(format!("{n} would be meant"));
                return Ok(());
            }
        }
        self.page_by_page(api, screen).await
    }

    /// Each call is bounded, and says how to go on.
    async fn page_by_page(&self, api: &Api, screen: Screen) -> Done {
        let mut progress = Progress::new("done", None);
        let (mut done, mut not_done, mut cursor) = (0, 0, None);
        loop {
            let page = self.call(false, cursor, api).await?;
            progress.clear();
            if screen.is_json {
                screen.line(page.text.trim_end())?;
            } else {
                items(&page.body, "items").try_for_each(|item| screen.line(line(item)))?;
            }
            done += page.body["count"].as_u64().unwrap_or_default();
            not_done += page.body["not_done"].as_u64().unwrap_or_default();
            progress.show(done, "");
            cursor = page.body["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        progress.clear();
        note(format!("{} done", count(done)));
        match not_done {
            0 => Ok(()),
            n => Err(Failed::new(Code::Refused, format!("{} not done", count(n)))),
        }
    }

    async fn call(
        &self,
        is_dry: bool,
        cursor: Option<String>,
        api: &Api,
    ) -> Result<Answer, Failed> {
        let mut body = self.how.clone();
        body.extend(self.which.filter.members());
        if self.which.all {
            body.insert("all".to_owned(), true.into());
        }
        body.insert("dry_run".to_owned(), is_dry.into());
        if let Some(cursor) = cursor {
            body.insert("cursor".to_owned(), cursor.into());
        }
        api.post(&["tasks", self.verb], body.into()).send().await
    }
}

fn line(item: &Value) -> String {
    let outcome = text(&item["outcome"]).replace('_', " ");
    let again = item["new_task_id"].as_str();
    let again = again.map(|id| format!(" as {id}")).unwrap_or_default();
    let detail = item["detail"].as_str();
    let detail = detail
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    format!("{}  {outcome}{again}{detail}", text(&item["task_id"]))
}

fn how_many(would: &Value) -> String {
    let n = count(would["count"].as_u64().unwrap_or_default());
    match would["at_least"] == true {
        true => format!("{n} or more"),
        false => n,
    }
}
