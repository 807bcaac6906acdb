//! What a batch is answered with: the tasks, or which of them the broker took and which not.

use flotilla_common::broker::{self, BrokerError};
use flotilla_common::model::{Category, TaskId};
use serde::Serialize;
use utoipa::ToSchema;

use super::batch::Batch;
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
    let status = batch.run_at.map_or("queued", |_| "scheduled");
    let (mut accepted, mut failed, mut first) = (Vec::new(), Vec::new(), None);
    let submitted = batch.urls.into_iter().zip(batch.tasks).zip(stored);
    for (index, ((url, task), stored)) in submitted.enumerate() {
        match stored {
            Ok(_) => accepted.push(AcceptedUrl::new(task.id, url, status)),
            Err(error) => {
                let problem = of_submission(&error, &task.id);
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
        Some(first) => Err(incomplete(first, &accepted, &failed)),
    }
}

/// Where nothing was accepted, the broker's refusal says it all. Otherwise the caller must
/// not simply send everything again, so there is no Retry-After.
fn incomplete(first: Problem, accepted: &[AcceptedUrl], failed: &[FailedUrl]) -> Problem {
    let problem = if accepted.is_empty() {
        first
    } else {
        let detail = format!(
            "{} of {} tasks were accepted; the others are listed in `failed`",
            accepted.len(),
            accepted.len() + failed.len()
        );
        Problem::new(Kind::PartlyAccepted, detail)
            .remedy("submit the failed ones again, by POST /scrape with their task_id")
    };
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
    /// What became of the tasks, in their order, where that is known.
    pub(super) fn set_statuses(&mut self, ended: &[Option<&'static str>]) {
        for (task, ended) in self.tasks.iter_mut().zip(ended) {
            task.status = ended.unwrap_or(task.status);
        }
        let mut statuses = self.tasks.iter().map(|task| task.status);
        let first = statuses.next().unwrap_or(self.status);
        // One word for all only where it holds for all.
        if statuses.all(|status| status == first) {
            self.status = first;
        }
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
        answer.set_statuses(&[Some("completed"), None]);
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["status"], "queued");
        assert_eq!(json["tasks"][0]["status"], "completed");
        answer.set_statuses(&[Some("completed"), Some("completed")]);
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
}
