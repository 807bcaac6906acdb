//! Lines in one request, each under an id of its own, so that one whose answer is lost is sent again and stored once.

use std::time::Duration;

use flotilla_common::model::Category;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::super::fields;
use super::super::names::CategoryName;
use super::super::submit::Args;
use super::{Ended, Line};
use crate::client::{Answer, Api};
use crate::exit::{Code, Failed};

/// A queue that stays full, or a gateway that stays away, for so long ends it.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);

/// A task that has not been taken or refused for good, by the number of its line.
type Open = (u64, Value);

/// Until each is taken or refused: what is full has room again, and who is away comes back.
pub(super) async fn submit(lines: Vec<Line>, args: &Args, api: &Api) -> Vec<Ended> {
    let (mut ended, mut open) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        match line.and_then(|line| task(&line, args)) {
            Ok(task) => open.push((number, task)),
            Err(failed) => ended.push((number, Err(failed))),
        }
    }
    let give_up_at = Instant::now() + PATIENCE;
    while !open.is_empty() {
        let (again, after) = attempt(open, &mut ended, args, api).await;
        if Instant::now() + after > give_up_at {
            ended.extend(again.into_iter().map(|(number, _, why)| (number, Err(why))));
            break;
        }
        open = again
            .into_iter()
            .map(|(number, task, _)| (number, task))
            .collect();
        if !open.is_empty() {
            sleep(after).await;
        }
    }
    ended
}

/// Those that are to be sent again, with the reason, and when.
async fn attempt(
    open: Vec<Open>,
    ended: &mut Vec<Ended>,
    args: &Args,
    api: &Api,
) -> (Vec<(u64, Value, Failed)>, Duration) {
    let tasks: Vec<&Value> = open.iter().map(|(_, task)| task).collect();
    let call = api.post(&["tasks", "bulk"], json!({ "tasks": tasks }));
    let answered = call
        .query("category", args.category.name())
        .send_any()
        .await;
    let mut after = Duration::ZERO;
    let mut again = Vec::new();
    for (index, (number, task)) in open.into_iter().enumerate() {
        let answer = answered.as_ref().map(|whole| of(whole, index));
        let (failed, pause) = match answer {
            Ok(answer) if matches!(answer.status, 429 | 503) => {
                (answer.failed(), answer.retry_after)
            }
            Ok(answer) => {
                ended.push((number, answer.good()));
                continue;
            }
            Err(failed) if failed.code == Code::Unreachable => (failed.clone(), None),
            Err(failed) => {
                ended.push((number, Err(failed.clone())));
                continue;
            }
        };
        after = after.max(pause.unwrap_or(PAUSE));
        again.push((number, task, failed));
    }
    (again, after)
}

/// What a task would have been answered alone. One request that was refused as such refuses all of its tasks.
fn of(whole: &Answer, index: usize) -> Answer {
    let Some(told) = whole.body["tasks"].get(index) else {
        return whole.clone();
    };
    let status = told["status"]
        .as_u64()
        .and_then(|status| status.try_into().ok());
    Answer {
        status: status.unwrap_or(200),
        text: told.to_string(),
        body: told.clone(),
        retry_after: told["retry_after_seconds"]
            .as_u64()
            .map(Duration::from_secs),
    }
}

fn task(line: &str, args: &Args) -> Result<Value, Failed> {
    let mut body = payload(line, &args.category)?;
    args.dress(&mut body)?;
    let is_named = ["task_id", "idempotency_key"]
        .iter()
        .any(|name| body.contains_key(*name));
    if !is_named {
        body.insert("task_id".to_owned(), json!(args.category.new_id()?));
    }
    Ok(body.into())
}

fn payload(line: &str, category: &CategoryName) -> Result<Map<String, Value>, Failed> {
    let line = line.trim();
    let is_address = line.starts_with("http://") || line.starts_with("https://");
    match category.is(Category::Scraping) && is_address {
        true => Ok(Map::from_iter([("url".to_owned(), Value::from(line))])),
        false => fields::object(line, "the line"),
    }
}
