//! A task per URL. All are checked before the first one is submitted.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use flotilla_common::broker::Outcomes;
use flotilla_common::model::{Category, NewTask, TaskId};
use futures::future::{join_all, try_join_all};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;

use super::batch_answer::{BatchAccepted, answer};
use super::fields::{Name, Terms, check_brand, check_kept};
use super::later::take_run_at;
use super::{scraping, url};
use crate::Gateway;
use crate::access::Payer;
use crate::body::Fields;
use crate::openapi::bodies;
use crate::openapi::parameters::Waits;
use crate::problem::Problem;
use crate::tasks::{GLANCE_TIME, status_name};
use crate::wait::Wait;

/// What all tasks of a batch share is stored once per task: a bound on it bounds the memory.
const SHARED_BYTES_MAX: usize = 16 * 1_024;
/// Records read at once: enough to hide the round trips.
const LOOKS_AT_ONCE: usize = 64;

/// Scrapes many pages, a task for each
#[utoipa::path(
    post, path = "/scrape/batch", operation_id = "scrape_batch", tag = "tasks",
    params(Waits),
    request_body = bodies::ScrapeBatch,
    responses(
        (status = 200, description = "The tasks; with wait, how each stands.",
            body = BatchAccepted),
    ),
)]
pub(crate) async fn scrape_batch(
    State(gateway): State<Arc<Gateway>>,
    payer: Option<Extension<Payer>>,
    wait: Wait,
    name: Name,
    fields: Fields,
) -> Result<Json<BatchAccepted>, Problem> {
    if name.is_given() {
        return Err(one_by_one("idempotency_key"));
    }
    let batch = Batch::take(fields, gateway.config.batch_urls_max)?;
    if wait.time().is_some() {
        check_kept(&batch.terms.options)?;
    }
    let seats = wait.time().map(|_| gateway.to_wait(batch.tasks.len()));
    let _seats = seats.transpose()?;
    if let Some(Extension(payer)) = payer {
        let (category, tasks) = (batch.terms.category, batch.tasks.len());
        payer.cover(&gateway, category, tasks).await?;
    }
    // Subscribed before the tasks are submitted: an outcome can come before the PubAck.
    let watched = match wait.time() {
        Some(wait) => Some((gateway.watch_all(&batch.tasks).await?, wait)),
        None => None,
    };
    let run_at = batch.run_at;
    let stored = match batch.run_at {
        None => gateway.broker.submit_all(&batch.tasks).await,
        Some(at) => gateway.schedule_all(&batch.tasks, at).await,
    };
    let mut answer = answer(batch, stored)?;
    if let Some((outcomes, wait)) = watched {
        let mut statuses = gateway.outcomes(outcomes, wait).await;
        gateway.look_at(answer.task_ids(), &mut statuses).await;
        answer.set_statuses(&statuses, submitted(run_at));
    }
    Ok(Json(answer))
}

impl Gateway {
    async fn watch_all(&self, tasks: &[NewTask]) -> Result<Vec<Outcomes>, Problem> {
        let watching = tasks.iter().map(|task| self.broker.watch_outcome(&task.id));
        Ok(try_join_all(watching).await?)
    }

    /// How each of the tasks ended, in their order, where it did in time.
    async fn outcomes(&self, outcomes: Vec<Outcomes>, wait: Duration) -> Vec<Option<&'static str>> {
        // Only the name is kept: a batch has many results, and each may be large.
        let ended = outcomes.into_iter().map(async |mut outcomes| {
            let record = self.outcome(&mut outcomes, wait).await;
            record.map(|record| record.status.name())
        });
        join_all(ended).await
    }

    /// How those stand that have not ended, as far as that is told soon. One without a record has not started.
    async fn look_at(&self, ids: &[TaskId], statuses: &mut [Option<&'static str>]) {
        let open = ids.iter().zip(statuses);
        let open = open.filter(|(_, status)| status.is_none());
        let looking =
            stream::iter(open).for_each_concurrent(LOOKS_AT_ONCE, async |(id, status)| {
                let found = self.broker.record_in(Category::Scraping, id).await;
                let record = found.ok().flatten().map(|stored| stored.record);
                *status = record.map(|record| status_name(&record.status));
            });
        // What was not looked at by then is told as it was submitted.
        let _ = tokio::time::timeout(GLANCE_TIME, looking).await;
    }
}

/// What a task is until somebody has it.
pub(super) fn submitted(run_at: Option<Timestamp>) -> &'static str {
    match run_at.is_some_and(|at| at > Timestamp::now()) {
        true => "scheduled",
        false => "queued",
    }
}

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) terms: Terms,
    pub(super) run_at: Option<Timestamp>,
    pub(super) urls: Vec<String>,
    /// One per URL, in the same order.
    pub(super) tasks: Vec<NewTask>,
}

impl Batch {
    fn take(mut fields: Fields, urls_max: usize) -> Result<Self, Problem> {
        let urls = Fields::require("urls", fields.take::<Vec<String>>("urls")?)?;
        check_urls(&urls, urls_max)?;
        check_brand(&fields)?;
        scraping::check(&fields)?;
        let terms = Terms::take(Category::Scraping, &mut fields)?;
        let run_at = take_run_at(&mut fields)?;
        for field in ["task_id", "idempotency_key"] {
            if fields.take::<Value>(field)?.is_some() {
                return Err(one_by_one(field));
            }
        }
        check_shared(&fields)?;
        let task = |url: &String| {
            fields.set("url", url.as_str());
            terms.task(TaskId::generate(terms.category), fields.to_payload())
        };
        let tasks = urls.iter().map(task).collect();
        Ok(Self {
            terms,
            run_at,
            urls,
            tasks,
        })
    }
}

fn one_by_one(field: &str) -> Problem {
    let why = format!("{field}: each URL of a batch has a task of its own");
    Problem::invalid(field, why).remedy("submit the URLs one by one to name their tasks")
}

fn check_urls(urls: &[String], max: usize) -> Result<(), Problem> {
    if urls.is_empty() || urls.len() > max {
        let why = format!("urls: {} URLs given: a batch takes 1 to {max}", urls.len());
        return Err(Problem::invalid("urls", why));
    }
    for (index, text) in urls.iter().enumerate() {
        url::check(text).map_err(|error| {
            let field = format!("urls[{index}]");
            let why = format!("{field}: {error}");
            Problem::invalid(field, why)
        })?;
    }
    Ok(())
}

fn check_shared(fields: &Fields) -> Result<(), Problem> {
    let bytes = fields.to_payload().len();
    if bytes <= SHARED_BYTES_MAX {
        return Ok(());
    }
    Err(Problem::new(
        crate::problem::Kind::Validation,
        format!(
            "beside its URLs the batch has {bytes} bytes, which every task would repeat: at most {SHARED_BYTES_MAX} are allowed"
        ),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use flotilla_common::model::Priority;

    use super::*;

    pub(in crate::submit) fn batch(json: &str) -> Result<Batch, Problem> {
        Batch::take(Fields::parse(json.as_bytes()).unwrap(), 3)
    }

    #[test]
    fn every_url_has_its_task() {
        let batch =
            batch(r#"{"urls":["http://a/","http://b/"],"brand":"x","priority":"BULK"}"#).unwrap();
        let payloads: Vec<_> = batch.tasks.iter().map(|task| &task.payload[..]).collect();
        assert_eq!(
            payloads,
            [
                br#"{"brand":"x","url":"http://a/"}"#,
                br#"{"brand":"x","url":"http://b/"}"#
            ]
        );
        assert!(
            batch
                .tasks
                .iter()
                .all(|task| task.priority == Priority::Bulk)
        );
        assert_ne!(batch.tasks[0].id, batch.tasks[1].id);
    }

    #[test]
    fn one_wrong_url_refuses_all_and_is_named() {
        let problem = batch(r#"{"urls":["http://a/","b"]}"#).unwrap_err();
        assert!(
            problem.detail().starts_with("urls[1]: not an absolute URL"),
            "{}",
            problem.detail()
        );
    }

    #[test]
    fn a_batch_is_bounded() {
        let long = format!(r#"{{"urls":["http://a/"],"x":"{}"}}"#, "x".repeat(20_000));
        for json in [
            "{}",
            r#"{"urls":[]}"#,
            r#"{"urls":["http://a","http://a","http://a","http://a"]}"#,
            r#"{"urls":["http://a"],"task_id":5}"#,
            &long,
        ] {
            assert!(batch(json).is_err(), "{json}");
        }
    }
}
