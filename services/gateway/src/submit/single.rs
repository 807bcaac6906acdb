//! One task: submitted, and waited for where the caller asks for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{MethodRouter, post};
use flotilla_common::model::{Category, Manifest, NewTask, Order, TaskId};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::{Key, OWN_FIELDS, Terms, check_brand, take_id};
use super::later::take_run_at;
use super::url;
use crate::Gateway;
use crate::body::Fields;
use crate::problem::{Kind, Problem};
use crate::refusal::{log, of_submission};
use crate::routes::BASE;
use crate::task_view::TaskView;
use crate::tasks::Found;
use crate::wait::Wait;

/// Longer ones are no questions; the worker has the same limit.
const QUESTION_CHARS_MAX: usize = 2_000;

/// Whether a browser runs a page's scripts, and how long the selector may be that it waits for:
/// the worker has the same.
const RENDER: [&str; 3] = ["auto", "always", "never"];
const SELECTOR_BYTES_MAX: usize = 512;

/// The call that submits one task of a category.
pub(crate) fn single(category: Category) -> MethodRouter<Arc<Gateway>> {
    post(
        async move |State(gateway): State<Arc<Gateway>>,
                    wait: Wait,
                    headers: HeaderMap,
                    fields: Fields| {
            let wait = match category {
                // Answers with the answer, unless it takes longer than people wait.
                Category::Query => wait.or(gateway.config.query_wait),
                Category::Scraping
                | Category::Embedding
                | Category::Batch
                | Category::Maintenance => wait,
            };
            gateway.take(category, fields, &headers, wait).await
        },
    )
}

/// What can be told of a payload before a worker has it; the worker checks all of it.
pub(crate) fn check_payload(category: Category, fields: &Fields) -> Result<(), Problem> {
    check_brand(fields)?;
    match category {
        Category::Scraping => {
            let url = Fields::require("url", fields.read::<String>("url")?)?;
            url::check(&url).map_err(|error| Problem::invalid("url", format!("url: {error}")))?;
            check_rendering(fields)
        }
        Category::Query => check_question(fields),
        Category::Embedding => check_texts(fields),
        Category::Batch => check_whole::<Manifest>(fields),
        Category::Maintenance => check_whole::<Order>(&fields.without(OWN_FIELDS)),
    }
}

pub(super) fn check_rendering(fields: &Fields) -> Result<(), Problem> {
    let render = fields.read::<String>("render")?;
    if render.is_some_and(|render| !RENDER.contains(&&*render)) {
        let why = format!("render: use one of {}", RENDER.join(", "));
        return Err(Problem::invalid("render", why));
    }
    let selector = fields.read::<String>("wait_for")?;
    let is_one = |text: &String| !text.trim().is_empty() && text.len() <= SELECTOR_BYTES_MAX;
    if selector.as_ref().is_none_or(is_one) {
        return Ok(());
    }
    let why = format!("wait_for: give a CSS selector of 1 to {SELECTOR_BYTES_MAX} bytes");
    Err(Problem::invalid("wait_for", why))
}

/// The whole payload, by the same rules as the worker's.
fn check_whole<T: DeserializeOwned>(fields: &Fields) -> Result<(), Problem> {
    let parsed: Result<T, _> = serde_json::from_slice(&fields.to_payload());
    parsed.map(drop).map_err(|error| {
        let why = error.to_string();
        let field = why.split(": ").next().unwrap_or_default();
        // The parser's own words name no field, and have spaces.
        match field.contains(' ') {
            true => Problem::new(Kind::Validation, why),
            false => Problem::invalid(field.to_owned(), why.clone()),
        }
    })
}

fn check_question(fields: &Fields) -> Result<(), Problem> {
    let question = Fields::require("query", fields.read::<String>("query")?)?;
    let chars = question.trim().chars().count();
    if (1..=QUESTION_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    let why = format!("query: it has {chars} characters: use 1 to {QUESTION_CHARS_MAX}");
    Err(Problem::invalid("query", why))
}

fn check_texts(fields: &Fields) -> Result<(), Problem> {
    let document = fields.read::<Map<String, Value>>("document")?;
    let texts = fields.read::<Vec<String>>("texts")?;
    match (document, texts) {
        (Some(document), None) => ["id", "text"].into_iter().try_for_each(|name| {
            let text = document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default();
            let field = format!("document.{name}");
            let why = format!("{field}: give a text that is not empty");
            let is_there = !text.trim().is_empty();
            is_there
                .then_some(())
                .ok_or_else(|| Problem::invalid(field, why))
        }),
        (None, Some(texts))
            if texts.iter().all(|text| !text.trim().is_empty()) && !texts.is_empty() =>
        {
            Ok(())
        }
        (None, Some(_)) => Err(Problem::invalid(
            "texts",
            "texts: give at least one, and none that is empty",
        )),
        _ => {
            let why = "document: give either a document, like {\"id\": \"manual\", \"text\": \"…\"}, or texts";
            Err(Problem::invalid("document", why))
        }
    }
}

/// A task as its caller wants it.
#[derive(Debug)]
struct Submission {
    task: NewTask,
    id_is_chosen: bool,
    run_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Accepted(Accepted),
    Outcome(Box<TaskView>),
}

/// The task is in good hands; `check_url` tells what becomes of it.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    task_id: TaskId,
    status: &'static str,
    category: Category,
    check_url: String,
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

impl Submission {
    fn take(category: Category, mut fields: Fields, key: Option<Key>) -> Result<Self, Problem> {
        let terms = Terms::take(category, &mut fields)?;
        let run_at = take_run_at(&mut fields)?;
        let chosen = take_id(category, &mut fields, key)?;
        let id_is_chosen = chosen.is_some();
        let id = chosen.unwrap_or_else(|| TaskId::generate(category));
        Ok(Self {
            task: terms.task(id, fields.to_payload()),
            id_is_chosen,
            run_at,
        })
    }
}

impl Gateway {
    async fn take(
        &self,
        category: Category,
        fields: Fields,
        headers: &HeaderMap,
        wait: Wait,
    ) -> Result<Json<Answer>, Problem> {
        let key = Key::of(headers)?;
        check_payload(category, &fields)?;
        let submission = Submission::take(category, fields, key)?;
        self.submit(submission, wait.time()).await.map(Json)
    }

    async fn submit(
        &self,
        submission: Submission,
        wait: Option<Duration>,
    ) -> Result<Answer, Problem> {
        let Submission {
            task,
            id_is_chosen,
            run_at,
        } = submission;
        // Subscribed before the task is submitted: its outcome can come before the PubAck.
        let mut waiting = match wait {
            Some(wait) => Some((self.broker.watch_outcome(&task.id).await?, wait)),
            None => None,
        };
        // The broker tells repetitions for a few minutes only; the task's record for days.
        let mut found = match id_is_chosen {
            true => self.find(&task.id).await?,
            false => None,
        };
        let mut duplicate = found.is_some();
        if !duplicate {
            let stored = self.submit_when(&task, run_at).await;
            let stored = stored.map_err(|error| {
                let problem = of_submission(&error, &task.id);
                log(&error, &problem);
                problem
            })?;
            // For an id of our own making it only means that a publish had to be repeated.
            duplicate = stored.duplicate && id_is_chosen;
            if duplicate {
                found = self.glance(&task.id).await;
            }
        }
        if let Some((outcomes, wait)) = &mut waiting {
            // A task submitted before may have its outcome already; no push comes for it then.
            if !found.as_ref().is_some_and(Found::is_final) {
                found = match self.outcome(outcomes, *wait).await {
                    Some(record) => Some(Found::Recorded(record)),
                    None => self.glance(&task.id).await,
                };
            }
            if let Some(found) = found.take_if(|found| found.is_final()) {
                return Ok(Answer::Outcome(Box::new(TaskView::of(found))));
            }
        }
        let submitted = run_at.map_or("queued", |_| "scheduled");
        let status = found.as_ref().map_or(submitted, Found::status);
        let run_at = run_at.filter(|_| !duplicate);
        Ok(Answer::Accepted(Accepted::new(
            &task, status, duplicate, run_at,
        )))
    }
}

impl Accepted {
    fn new(
        task: &NewTask,
        status: &'static str,
        duplicate: bool,
        run_at: Option<Timestamp>,
    ) -> Self {
        Self {
            check_url: check_url(&task.id),
            task_id: task.id.clone(),
            status,
            category: task.category,
            priority: task.priority.api_name(),
            run_at,
            duplicate,
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::Priority;
    use serde_json::json;

    use super::*;

    fn submission(json: &str) -> Submission {
        let fields = Fields::parse(json.as_bytes()).unwrap();
        Submission::take(Category::Scraping, fields, None).unwrap()
    }

    #[test]
    fn an_accepted_task_has_the_shape_of_the_contract() {
        let submission = submission(r#"{"url":"http://a/","task_id":"mine"}"#);
        let accepted = Accepted::new(&submission.task, "queued", false, None);
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
    fn maintenance_is_checked_at_the_edge() {
        let check = |json: &str| {
            let fields = Fields::parse(json.as_bytes()).unwrap();
            check_payload(Category::Maintenance, &fields).map_err(|problem| format!("{problem:?}"))
        };
        let good = r#"{"operation":"retire","brand":"a","dry_run":true,"priority":"HIGH","task_id":"x","delay":5}"#;
        assert_eq!(check(good), Ok(()));
        for (bad, field) in [
            (r#"{"operation":"retire"}"#, "brand"),
            (r#"{"operation":"vacuum"}"#, "operation"),
            (r#"{"operation":"expire","dryrun":true}"#, "dryrun"),
        ] {
            let problem = check(bad).unwrap_err();
            let named = format!("field: Some({field:?})");
            assert!(problem.contains(&named), "{bad}: {problem}");
        }
    }

    #[test]
    fn how_a_page_is_rendered_is_checked_at_the_edge() {
        let check = |more: &str| {
            let body = format!(r#"{{"url":"https://example.com/"{more}}}"#);
            let fields = Fields::parse(body.as_bytes()).unwrap();
            check_payload(Category::Scraping, &fields).map_err(|problem| format!("{problem:?}"))
        };
        for good in [
            "",
            r#","render":"auto""#,
            r#","render":"never","wait_for":"main .price""#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let error = check(r#","render":"yes""#).unwrap_err();
        assert!(error.contains("auto, always, never"), "{error}");
        let error = check(r#","wait_for":" ""#).unwrap_err();
        assert!(error.contains("CSS selector"), "{error}");
    }

    #[test]
    fn an_id_is_made_where_none_is_chosen() {
        let submission = submission(r#"{"url":"http://a/"}"#);
        assert!(submission.task.id.as_str().starts_with("scrape_"));
        assert!(!submission.id_is_chosen);
    }
}
