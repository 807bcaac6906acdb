//! Many tasks in one request, of any categories: each is taken or refused by itself, as if it had come alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use bytes::Bytes;
use flotilla_common::model::Category;
use futures::future::join;
use futures::{StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

mod items;
mod report;

use self::report::Report;
use super::fields::Name;
use super::placed::Placed;
use super::submission::{Accepted, Beside, Submission};
use crate::Gateway;
use crate::access::Payer;
use crate::body::{AnyJson, Fields, Many};
use crate::control::named_category;
use crate::openapi::bodies;
use crate::problem::{Kind, Problem};
use crate::refusal::{log, of_submission, unavailable};

/// Those under way at once that go alone: enough to hide the round trips.
const AT_ONCE: usize = 512;

/// What is said once, for all of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Common {
    /// The category of them all, or the name of its queue. Then a task is what POST
    /// /categories/{category}/tasks takes, and has no field for it.
    #[param(value_type = Option<bodies::CategoryOrQueue>)]
    category: Option<String>,
}

/// Submits many tasks
///
/// A task is an object as a submission of its category takes it, with the field `category` beside; they are
/// in the list `tasks`, or a line each (NDJSON). Each is taken or refused by itself, as if it had come alone,
/// and is answered in its place: as accepted, or with a problem that has its `index`. What is accepted
/// is stored. Where none is, the answer is a problem, with the same list.
#[utoipa::path(
    post, path = "/tasks/bulk", operation_id = "submit_tasks", tag = "tasks",
    params(Common),
    request_body(content(
        (bodies::Tasks = "application/json"), (String = "application/x-ndjson"),
    )),
    responses((status = 200, description = "What came of each; at least one is accepted.", body = Report)),
)]
pub(crate) async fn submit(
    State(gateway): State<Arc<Gateway>>,
    common: Result<Query<Common>, QueryRejection>,
    payer: Option<Extension<Payer>>,
    name: Name,
    mut many: Many,
) -> Result<Json<Report>, Problem> {
    let Query(common) = common.map_err(|error| Problem::new(Kind::Syntax, error.body_text()))?;
    let category = common.category.as_deref().map(named_category).transpose()?;
    if name.is_given() {
        let why = "idempotency_key: it names one task, and here are many";
        return Err(Problem::invalid("idempotency_key", why)
            .remedy("give each task its own task_id, or idempotency_key"));
    }
    let max = gateway.config.bulk_tasks_max;
    let mut tasks = items::read(&many, max, |item| take(category, item?))?;
    // From here on each task has its own.
    many.body = Bytes::new();
    if let Some(Extension(payer)) = payer {
        let category = |task: &Taken| task.as_ref().ok().map(|taken| taken.task.category);
        let checked = payer.check(&gateway, tasks.iter().map(category)).await;
        for (task, problem) in tasks.iter_mut().zip(checked) {
            if let Some(problem) = problem {
                *task = Err(problem);
            }
        }
    }
    Report::of(gateway.take_all(tasks).await).map(Json)
}

type Taken = Result<Submission, Problem>;
/// With its place in the request.
type Numbered = (usize, Submission);
type Answered = (usize, Result<Accepted, Problem>);

fn take(category: Option<Category>, item: AnyJson) -> Taken {
    match (item, category) {
        (AnyJson::Fields(fields), Some(category)) => {
            Submission::take(category, fields, Beside::default())
        }
        (AnyJson::Fields(mut fields), None) => {
            let name = Fields::require("category", fields.take::<String>("category")?)?;
            Submission::take(named_category(&name)?, fields, Beside::default())
        }
        (AnyJson::Other(payload), Some(category)) => {
            let beside = Beside::new(None, Some(payload));
            Submission::take(category, Fields::default(), beside)
        }
        (AnyJson::Other(_), None) => {
            let why = "a task must be a JSON object, with its category";
            Err(Problem::new(Kind::Validation, why)
                .remedy("payloads that are no objects need ?category= to name the category of all"))
        }
    }
}

impl Gateway {
    async fn take_all(&self, tasks: Vec<Taken>) -> Vec<Result<Accepted, Problem>> {
        let (mut new, mut others, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for (at, task) in tasks.into_iter().enumerate() {
            match task {
                Ok(submission) if submission.is_new() => new.push((at, submission)),
                Ok(submission) => others.push((at, submission)),
                Err(problem) => answers.push((at, Err(problem))),
            }
        }
        let (new, others) = join(self.take_new(&new), self.take_each(&others)).await;
        answers.extend(new);
        answers.extend(others);
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// What the broker cannot have yet goes together.
    async fn take_new(&self, tasks: &[Numbered]) -> Vec<Answered> {
        let stored = self
            .broker
            .submit_all(tasks.iter().map(|(_, new)| &new.task));
        let answers = stored.await.into_iter().zip(tasks);
        let mut is_logged = false;
        let answers = answers.map(|(stored, (at, submission))| match stored {
            Ok(_) => (*at, Ok(Accepted::of(submission, &Placed::default()))),
            Err(error) => {
                let problem = of_submission(&error, &submission.task.id);
                // Of thousands with one cause, one is enough in the log.
                if !std::mem::replace(&mut is_logged, true) {
                    log(&error, &problem);
                }
                (*at, Err(problem))
            }
        });
        answers.collect()
    }

    /// What it may have is looked for, each by itself, and what is for later is scheduled.
    async fn take_each(&self, tasks: &[Numbered]) -> Vec<Answered> {
        // Once the broker is away, each task after that would wait for it as long as the first.
        let is_away = AtomicBool::new(false);
        let taking = tasks.iter().map(async |(at, submission)| {
            if is_away.load(Ordering::Relaxed) {
                let why = "the broker does not answer; this one was not submitted";
                return (*at, Err(unavailable(why)));
            }
            let placed = self.place(submission).await.inspect_err(|problem| {
                is_away.fetch_or(problem.kind() == Kind::Unavailable, Ordering::Relaxed);
            });
            (*at, placed.map(|placed| Accepted::of(submission, &placed)))
        });
        // Boxed here, where the lifetimes are known.
        let answers = stream::iter(taking).buffered(AT_ONCE).boxed();
        answers.collect().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(category: Option<Category>, json: &str) -> Taken {
        take(category, AnyJson::parse(json.to_owned().into()).unwrap())
    }

    #[test]
    fn a_task_says_its_category_or_all_have_the_same() {
        let json =
            r#"{"category":"embedding_queue","texts":["a"],"priority":"HIGH","task_id":"x"}"#;
        let task = taken(None, json).unwrap().task;
        assert_eq!(task.category, Category::Embedding);
        assert_eq!(task.payload, r#"{"texts":["a"]}"#);
        assert_eq!(task.id.as_str(), "x");
        let task = taken(Some(Category::Query), r#"{"query":"q","category":"mine"}"#).unwrap();
        assert_eq!(task.task.payload, r#"{"category":"mine","query":"q"}"#);
    }

    #[test]
    fn what_is_wrong_with_a_task_is_named() {
        for (json, detail) in [
            (r#"{"query":"q"}"#, "category is missing"),
            (r#"{"category":"cooking"}"#, "cooking"),
            (r#"{"category":"query"}"#, "query is missing"),
            (
                r#"{"category":"query","query":"q","max_retries":99}"#,
                "max_retries",
            ),
            ("5", "a task must be a JSON object"),
        ] {
            let problem = taken(None, json).unwrap_err();
            assert!(problem.detail().contains(detail), "{json}: {problem:?}");
        }
    }
}
