//! What the broker has of a task that is submitted: nothing yet, or one that was submitted before under the same id.

use flotilla_common::model::{Category, NewTask, TaskId};

use super::submission::check_url;
use crate::problem::{Kind, Problem};
use crate::tasks::Found;

/// What the broker has of it.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// What was known of it already, where it was submitted before.
    pub(super) found: Option<Found>,
    pub(super) is_duplicate: bool,
}

impl Placed {
    /// Submitted before. Ids are the whole fleet's: it may be a task of another kind that has this one.
    pub(super) fn before(found: Option<Found>, task: &NewTask) -> Result<Self, Problem> {
        match found.as_ref().map(Found::category) {
            Some(category) if category != task.category => Err(taken(&task.id, category)),
            _ => Ok(Self {
                found,
                is_duplicate: true,
            }),
        }
    }

    /// Whether the task that was there before, under the same id, is one to be waited for.
    pub(super) fn check_kept(&self) -> Result<(), Problem> {
        self.found.as_ref().map_or(Ok(()), Found::check_kept)
    }
}

fn taken(id: &TaskId, category: Category) -> Problem {
    let why = format!("task_id: {id} is a task of {category} already");
    Problem::new(Kind::Conflict, why)
        .remedy("choose another id: ids are the same for all categories")
        .with("task_id", id)
        .with("category", category)
        .with("check_url", check_url(id))
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::{ScheduledTask, WaitingTask};
    use flotilla_common::model::{Lineage, Options, Priority};
    use jiff::Timestamp;
    use serde_json::json;

    use super::super::submission::{Accepted, Beside, Submission};
    use super::*;
    use crate::body::Fields;

    fn submission(json: &str) -> Submission {
        let fields = Fields::parse(json.as_bytes()).unwrap();
        Submission::take(Category::Scraping, fields, Beside::default()).unwrap()
    }

    fn scheduled(category: Category) -> Found {
        Found::Scheduled(ScheduledTask {
            envelope: WaitingTask {
                id: "mine".parse().unwrap(),
                category,
                priority: Priority::Low,
                options: Options::default(),
                lineage: Lineage::default(),
                origin: None,
                object: None,
                brand: None,
                submitted_at: Timestamp::UNIX_EPOCH,
                sequence: 0,
            },
            at: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_repetition_is_told_of_the_task_that_there_is() {
        let again = submission(r#"{"url":"http://a/","task_id":"mine","priority":"HIGH"}"#);
        let placed = Placed::before(Some(scheduled(Category::Scraping)), &again.task).unwrap();
        let told = Accepted::of(&again, &placed);
        let expected = json!({
            "task_id": "mine", "status": "scheduled", "category": "scraping", "duplicate": true,
            "check_url": "/api/hp/tasks/mine", "priority": "LOW", "run_at": "1970-01-01T00:00:00Z",
        });
        assert_eq!(serde_json::to_value(told).unwrap(), expected);
    }

    #[test]
    fn a_task_of_another_category_is_not_taken_for_a_repetition() {
        let again = submission(r#"{"url":"http://a/","task_id":"mine"}"#);
        let problem = Placed::before(Some(scheduled(Category::Query)), &again.task).unwrap_err();
        assert_eq!(problem.kind(), Kind::Conflict);
        assert_eq!(problem.member("task_id"), "mine");
        assert_eq!(problem.member("category"), "query");
    }
}
