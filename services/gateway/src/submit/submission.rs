//! One task as its caller wants it: submitted, and waited for where the caller asks for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::Response;
use bytes::Bytes;
use flotilla_common::broker::BrokerError;
use flotilla_common::model::{Category, NewTask, TaskId};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::{Key, Name, Terms, check_kept, take_id};
use super::later::take_run_at;
use super::placed::Placed;
use super::single::check_payload;
use crate::Gateway;
use crate::body::Fields;
use crate::problem::{Kind, Problem};
use crate::refusal::{log, of_submission};
use crate::routes::BASE;
use crate::stream::{Following, respond};
use crate::task_view::TaskView;
use crate::tasks::Found;
use crate::wait::Wait;

/// A task as its caller wants it.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) task: NewTask,
    id_is_chosen: bool,
    run_at: Option<Timestamp>,
}

/// What a request says of a task outside its body.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    key: Option<Key>,
    brand: Option<String>,
    /// The payload, where it is no object and so has no fields.
    payload: Option<Bytes>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Answer {
    Accepted(Accepted),
    Outcome(Box<TaskView>),
}

/// The task is in good hands; `check_url` tells what becomes of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    task_id: TaskId,
    status: &'static str,
    category: Category,
    pub(crate) check_url: String,
    priority: &'static str,
    /// When it will be queued, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<Timestamp>,
    /// The task was submitted before, and was not stored again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

pub(super) fn check_url(id: &TaskId) -> String {
    format!("{BASE}/tasks/{id}")
}

impl Beside {
    pub(crate) fn new(brand: Option<String>, payload: Option<Bytes>) -> Self {
        Self {
            key: None,
            brand,
            payload,
        }
    }

    /// Over HTTP that is what a header says.
    fn of(Name(key): Name) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }
}

impl Submission {
    /// Whether it goes to its queue at once, under an id that was generated for it.
    pub(super) fn is_new(&self) -> bool {
        !self.id_is_chosen && self.run_at.is_none()
    }

    /// What its caller is told where the broker did not take it.
    pub(super) fn problem(&self, error: &BrokerError) -> Problem {
        let problem = of_submission(error, &self.task.id);
        log(error, &problem);
        problem
    }

    pub(super) fn take(
        category: Category,
        mut fields: Fields,
        beside: Beside,
    ) -> Result<Self, Problem> {
        match beside.payload {
            None => check_payload(category, &fields)?,
            Some(_) if category.is_built_in() => {
                let why = "the body must be a JSON object";
                return Err(Problem::new(Kind::Validation, why));
            }
            Some(_) => {}
        }
        let terms = Terms::take(category, &mut fields)?;
        let run_at = take_run_at(&mut fields)?;
        let chosen = take_id(category, &mut fields, beside.key)?;
        let id_is_chosen = chosen.is_some();
        let id = chosen.unwrap_or_else(|| TaskId::generate(category));
        let task = NewTask {
            brand: beside.brand,
            ..terms.task(id, beside.payload.unwrap_or_else(|| fields.to_payload()))
        };
        Ok(Self {
            task,
            id_is_chosen,
            run_at,
        })
    }
}

impl Gateway {
    pub(super) async fn take(
        &self,
        category: Category,
        fields: Fields,
        name: Name,
        wait: Wait,
    ) -> Result<Json<Answer>, Problem> {
        let beside = Beside::of(name);
        let answer = self.take_from(category, fields, beside, wait.time());
        answer.await.map(Json)
    }

    /// The same, wherever the request came in.
    pub(crate) async fn take_from(
        &self,
        category: Category,
        fields: Fields,
        beside: Beside,
        wait: Option<Duration>,
    ) -> Result<Answer, Problem> {
        let submission = Submission::take(category, fields, beside)?;
        self.submit(submission, wait).await
    }

    /// The same for a payload that is no object: all of it is the task's.
    pub(super) async fn take_whole(
        &self,
        category: Category,
        payload: Bytes,
        name: Name,
        wait: Wait,
    ) -> Result<Json<Answer>, Problem> {
        let beside = Beside {
            payload: Some(payload),
            ..Beside::of(name)
        };
        let answer = self.take_from(category, Fields::default(), beside, wait.time());
        answer.await.map(Json)
    }

    /// The same for a question, whose answer is told while it is made.
    pub(super) async fn answer_in_pieces(
        self: Arc<Self>,
        mut fields: Fields,
        name: Name,
        wait: Wait,
    ) -> Result<Response, Problem> {
        // The worker says its words to whoever listens only where it is asked to.
        fields.set("stream", true);
        let submission = Submission::take(Category::Query, fields, Beside::of(name))?;
        check_kept(&submission.task.options)?;
        let wait = wait.or(self.config.wait_max).time().unwrap_or_default();
        let seat = self.seat()?;
        let id = &submission.task.id;
        let tokens = self.broker.watch_tokens(Category::Query, id).await?;
        let outcomes = self.broker.watch_outcome(id).await?;
        let placed = self.place(&submission).await?;
        let accepted = Accepted::of(&submission, &placed);
        drop(submission);
        let mut following = Following::new(self, seat, &accepted, tokens, outcomes, wait);
        placed.check_kept()?;
        if let Some(outcome) = placed.found.filter(Found::is_final) {
            following.finish(outcome).await;
        }
        Ok(respond(following))
    }

    async fn submit(
        &self,
        mut submission: Submission,
        wait: Option<Duration>,
    ) -> Result<Answer, Problem> {
        if wait.is_some() {
            check_kept(&submission.task.options)?;
        }
        let _seat = wait.map(|_| self.to_wait(1)).transpose()?;
        // Subscribed before the task is submitted: its outcome can come before the PubAck.
        let mut waiting = match wait {
            Some(wait) => Some((self.broker.watch_outcome(&submission.task.id).await?, wait)),
            None => None,
        };
        let mut placed = self.place(&submission).await?;
        // The broker has it: it is not kept, nor the turn of a large body, while its outcome is waited for.
        submission.task.payload = Bytes::new();
        if let Some((outcomes, wait)) = &mut waiting {
            placed.check_kept()?;
            // A task submitted before may have its outcome already; no push comes for it then.
            if !placed.found.as_ref().is_some_and(Found::is_final) {
                placed.found = match self.outcome(outcomes, *wait).await {
                    Some(record) => Some(Found::Recorded(record)),
                    None => self.glance(&submission.task.id).await,
                };
            }
        }
        let accepted = Accepted::of(&submission, &placed);
        let outcome = placed
            .found
            .filter(|found| wait.is_some() && found.is_final());
        Ok(self.told(accepted, outcome).await)
    }

    /// The outcome, where it is there and can be read. Its task is accepted either way, and a
    /// problem in the place of its id would have the caller submit it a second time.
    async fn told(&self, accepted: Accepted, outcome: Option<Found>) -> Answer {
        let Some(outcome) = outcome else {
            return Answer::Accepted(accepted);
        };
        match self.view(outcome).await {
            Ok(view) => Answer::Outcome(Box::new(view)),
            // It was logged where it became a problem, and who looks at check_url is told.
            Err(_) => Answer::Accepted(accepted),
        }
    }

    /// Hands the task to the broker, unless it has it already.
    pub(super) async fn place(&self, submission: &Submission) -> Result<Placed, Problem> {
        let task = &submission.task;
        // The broker tells repetitions for a few minutes only; the task's record for days.
        if submission.id_is_chosen
            && let Some(found) = self.find(&task.id).await?
        {
            return Placed::before(Some(found), task);
        }
        let stored = match submission.run_at {
            Some(at) => self.broker.submit_at(task, at, self.schedules_max).await,
            None if submission.id_is_chosen => self.broker.submit(task).await,
            None => self.broker.submit_new(task).await,
        };
        let stored = stored.map_err(|error| submission.problem(&error))?;
        // For an id of our own making it only means that a publish had to be repeated.
        match stored.duplicate && submission.id_is_chosen {
            true => Placed::before(self.glance(&task.id).await, task),
            false => Ok(Placed::default()),
        }
    }
}

impl Accepted {
    pub(super) fn of(submission: &Submission, placed: &Placed) -> Self {
        let Submission { task, run_at, .. } = submission;
        let accepted = Self {
            check_url: check_url(&task.id),
            task_id: task.id.clone(),
            status: run_at.map_or("queued", |_| "scheduled"),
            category: task.category,
            priority: task.priority.api_name(),
            run_at: run_at.filter(|_| !placed.is_duplicate),
            duplicate: placed.is_duplicate,
        };
        match &placed.found {
            None => accepted,
            // The one that there is, whatever was asked for this time.
            Some(found) => Self {
                status: found.status(),
                category: found.category(),
                priority: found.priority().api_name(),
                run_at: found.run_at(),
                ..accepted
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::Priority;
    use serde_json::json;

    use super::*;

    impl Accepted {
        pub(in crate::submit) fn sample() -> Self {
            Self::of(&submission(r#"{"url":"http://a/"}"#), &Placed::default())
        }
    }

    fn submission(json: &str) -> Submission {
        let fields = Fields::parse(json.as_bytes()).unwrap();
        Submission::take(Category::Scraping, fields, Beside::default()).unwrap()
    }

    #[test]
    fn an_accepted_task_has_the_shape_of_the_contract() {
        let submission = submission(r#"{"url":"http://a/","task_id":"mine"}"#);
        let accepted = Accepted::of(&submission, &Placed::default());
        let expected = json!({
            "task_id": "mine", "status": "queued", "category": "scraping",
            "check_url": "/api/hp/tasks/mine", "priority": "NORMAL",
        });
        assert_eq!(serde_json::to_value(accepted).unwrap(), expected);
    }

    #[test]
    fn the_payload_is_the_body_without_what_is_ours() {
        let body = r#"{"url":"http://a/","brand":"b","render":"auto","priority":"HIGH","max_retries":1,"task_id":"mine"}"#;
        let Submission {
            task, id_is_chosen, ..
        } = submission(body);
        assert_eq!(
            task.payload,
            r#"{"brand":"b","render":"auto","url":"http://a/"}"#
        );
        assert_eq!(task.priority, Priority::High);
        assert!(id_is_chosen);
    }

    #[test]
    fn an_id_is_made_where_none_is_chosen() {
        let submission = submission(r#"{"url":"http://a/"}"#);
        assert!(submission.task.id.as_str().starts_with("scrape_"));
        assert!(!submission.id_is_chosen);
    }
}
