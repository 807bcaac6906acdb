//! Waiting for a task's outcome: asked again and again, each answer held back until there is
//! something to say. A gateway that restarts meanwhile is waited for.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::{Answer, Api};
use crate::exit::{Code, Failed};

/// How long one answer is held back; a gateway that allows less is asked more often.
const HELD_BACK: Duration = Duration::from_secs(10);
const HELD_BACK_MIN: Duration = Duration::from_millis(250);
/// A gateway that is away is back by then, or somebody should know.
const AWAY_MAX: Duration = Duration::from_secs(30);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The outcome, or how the task stands when the time is up.
pub(super) async fn follow(
    api: &Api,
    id: &str,
    within: Option<Duration>,
) -> Result<Answer, Failed> {
    let give_up_at = within.map(|within| Instant::now() + within);
    let mut held_back = HELD_BACK;
    let mut away_since = None;
    loop {
        let left = give_up_at.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = left.map_or(held_back, |left| left.min(held_back));
        let call = api.get(&["tasks", id]);
        let call = if wait.is_zero() {
            call
        } else {
            call.wait(wait)
        };
        let answer = call
            .send_any()
            .await
            .and_then(|answer| match answer.status {
                422 if answer.text_of("field") == "wait" && held_back > HELD_BACK_MIN => {
                    held_back /= 2;
                    Ok(None)
                }
                _ => answer.good().map(Some),
            });
        let answer = match answer {
            Ok(answer) => answer,
            Err(failed) if failed.code == Code::Unreachable => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > AWAY_MAX || left.is_some_and(|left| left.is_zero()) {
                    return Err(failed);
                }
                sleep(ASK_AGAIN_AFTER).await;
                continue;
            }
            Err(failed) => return Err(failed),
        };
        away_since = None;
        if let Some(answer) = answer
            && (outcome(&answer.body).is_some() || left.is_some_and(|left| left.is_zero()))
        {
            return Ok(answer);
        }
    }
}

/// Whether a task that has its outcome came to a good end.
pub(super) fn outcome(task: &Value) -> Option<bool> {
    match task["status"].as_str()? {
        "completed" => Some(true),
        "failed" | "cancelled" | "expired" => Some(false),
        _ => None,
    }
}

/// What a command that waited for this task ends with.
pub(super) fn end(task: &Value) -> Result<(), Failed> {
    match outcome(task) {
        Some(true) => Ok(()),
        Some(false) => Err(Failed::told(Code::Bad)),
        None => {
            let id = task["task_id"].as_str().unwrap_or_default();
            Err(Failed::new(
                Code::Late,
                format!("task {id} has no outcome yet; it goes on"),
            )
            .remedy(format!("wait for it with 'flotilla tasks watch {id}'")))
        }
    }
}
