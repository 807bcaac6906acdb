//! What a batch is answered with: the tasks, or which of them the broker took and which not.

use flotilla_common::broker::{self, BrokerError};
use flotilla_common::model::{Category, TaskId};
use serde::Serialize;
use utoipa::ToSchema;

use super::batch::{Batch, submitted};
use super::fields::Terms;
use super::submission::check_url;
use crate::problem::{Kind, Problem};
use crate::refusal::{log, of_submission};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAccepted {
    status: &'static str,
    category: Category,
    priority: &'static str,
    count: usize,
    task_ids: Vec<TaskId>,
    tasks: Vec<AcceptedUrl>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AcceptedUrl {
    task_id: TaskId,
    url: String,
    status: &'static str,
    check_url: String,
}

/// A URL whose task the broker did not confirm.
#[derive(Debug, Serialize)]
struct FailedUrl {
    index: usize,
    url: String,
    task_id: TaskId,
    detail: String,
}

pub(super) fn answer(
    batch: Batch,
    stored: Vec<Result<broker::Accepted, BrokerError>>,
) -> Result<BatchAccepted, Problem> {
    let status = submitted(batch.run_at);
    let (mut accepted, mut failed, mut first) = (Vec::new(), Vec::new(), None);
    let mut is_certain = true;
    let answered = batch.urls.into_iter().zip(batch.tasks).zip(stored);
    for (index, ((url, task), stored)) in answered.enumerate() {
        match stored {
            Ok(_) => accepted.push(AcceptedUrl::new(task.id, url, status)),
            Err(error) => {
                let problem = of_submission(&error, &task.id);
                is_certain &= error.refusal().is_some();
                failed.push(FailedUrl::new(index, url, task.id, &problem));
                // Of a thousand failures with one cause, one is enough in the log.
                if first.is_none() {
                    log(&error, &problem);
                    first = Some(problem);
                }
            }
        }
    }
    match first {
        None => Ok(BatchAccepted::new(batch.terms, accepted, status)),
        // Where nothing was accepted, the broker's refusal says it all.
        Some(first) if accepted.is_empty() && is_certain => Err(listed(first, &accepted, &failed)),
        Some(_) => Err(incomplete(&accepted, &failed)),
    }
}

/// Some are stored, or may be. The caller must not simply send everything again, which would
/// make new tasks of them: so there is no Retry-After.
fn incomplete(accepted: &[AcceptedUrl], failed: &[FailedUrl]) -> Problem {
    let problem = match accepted.len() {
        0 => Problem::new(
            Kind::Unavailable,
            "the broker did not confirm the tasks: of those in `failed` whose detail says so, whether they were accepted is unknown",
        ),
        count => {
            let all = count + failed.len();
            let detail =
                format!("{count} of {all} tasks were accepted; the others are listed in `failed`");
            Problem::new(Kind::PartlyAccepted, detail)
        }
    };
    let problem =
        problem.remedy("submit the failed ones again, by POST /scrape with their task_id");
    listed(problem, accepted, failed)
}

fn listed(problem: Problem, accepted: &[AcceptedUrl], failed: &[FailedUrl]) -> Problem {
    problem.with("accepted", accepted).with("failed", failed)
}

impl BatchAccepted {
    fn new(terms: Terms, tasks: Vec<AcceptedUrl>, status: &'static str) -> Self {
        Self {
            status,
            category: terms.category,
            priority: terms.priority.api_name(),
            count: tasks.len(),
            task_ids: tasks.iter().map(|task| task.task_id.clone()).collect(),
            tasks,
        }
    }
}

impl BatchAccepted {
    pub(super) fn task_ids(&self) -> &[TaskId] {
        &self.task_ids
    }

    /// How the tasks stand, in their order; those of which nothing is known as they would `otherwise`.
    pub(super) fn set_statuses(&mut self, known: &[Option<&'static str>], otherwise: &'static str) {
        for (task, known) in self.tasks.iter_mut().zip(known) {
            task.status = known.unwrap_or(otherwise);
        }
        let mut statuses = self.tasks.iter().map(|task| task.status);
        let first = statuses.next().unwrap_or(otherwise);
        // One word for all only where it holds for all.
        self.status = match statuses.all(|status| status == first) {
            true => first,
            false => otherwise,
        };
    }
}

impl AcceptedUrl {
    fn new(task_id: TaskId, url: String, status: &'static str) -> Self {
        Self {
            check_url: check_url(&task_id),
            task_id,
            url,
            status,
        }
    }
}

impl FailedUrl {
    fn new(index: usize, url: String, task_id: TaskId, problem: &Problem) -> Self {
        Self {
            index,
            url,
            task_id,
            detail: problem.detail().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::Refusal;

    use super::super::batch::tests::batch;
    use super::*;

    const STORED: Result<broker::Accepted, BrokerError> = Ok(broker::Accepted { duplicate: false });

    fn full() -> Result<broker::Accepted, BrokerError> {
        Err(BrokerError::Refused {
            doing: String::new(),
            refusal: Refusal::StreamFull(String::new()),
        })
    }

    fn two() -> Batch {
        batch(r#"{"urls":["http://a/","http://b/"]}"#).unwrap()
    }

    #[test]
    fn all_accepted() {
        let answer = answer(two(), vec![STORED, STORED]).unwrap();
        let json = serde_json::to_value(answer).unwrap();
        assert_eq!(json["status"], "queued");
        assert_eq!(json["count"], 2);
        assert_eq!(json["tasks"][1]["url"], "http://b/");
        assert_eq!(json["tasks"][1]["task_id"], json["task_ids"][1]);
    }

    #[test]
    fn what_became_of_the_tasks_is_told_of_each() {
        let mut answer = answer(two(), vec![STORED, STORED]).unwrap();
        answer.set_statuses(&[Some("completed"), None], "queued");
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["status"], "queued");
        assert_eq!(json["tasks"][0]["status"], "completed");
        answer.set_statuses(&[Some("completed"), Some("completed")], "queued");
        assert_eq!(
            serde_json::to_value(&answer).unwrap()["status"],
            "completed"
        );
    }

    #[test]
    fn what_was_accepted_in_part_says_so() {
        let problem = answer(two(), vec![STORED, full()]).unwrap_err();
        assert_eq!(problem.kind(), Kind::PartlyAccepted);
        assert_eq!(problem.member("failed")[0]["index"], 1);
        assert_eq!(problem.member("accepted")[0]["url"], "http://a/");
    }

    #[test]
    fn what_was_not_accepted_at_all_says_why() {
        let problem = answer(two(), vec![full(), full()]).unwrap_err();
        assert_eq!(problem.kind(), Kind::QueueFull);
    }

    /// A repetition of the whole would scrape once more what is stored.
    #[test]
    fn what_may_have_been_accepted_is_not_sent_again_as_a_batch() {
        let unanswered = || {
            Err(BrokerError::Unavailable {
                doing: String::new(),
            })
        };
        for answers in [
            vec![unanswered(), unanswered()],
            vec![full(), unanswered()],
            vec![STORED, unanswered()],
        ] {
            let problem = answer(two(), answers).unwrap_err();
            assert_eq!(problem.retry_after_seconds(), None);
            let told = serde_json::to_value(problem.document()).unwrap();
            assert_eq!(told["status"], 503);
            assert!(told["failed"][0]["task_id"].is_string(), "{told}");
            assert!(told["remedy"].as_str().unwrap().contains("task_id"));
        }
        let refused = answer(two(), vec![full(), full()]).unwrap_err();
        assert_eq!(refused.retry_after_seconds(), Some(5));
    }
}
