//! Dead letters over HTTP: browsed, shown, run again one by one or many at a rate, thrown away.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bytes::Bytes;
use flotilla_common::broker::{LetterFilter, ObjectError, Requeue, StoredLetter};
use flotilla_common::model::{Category, DeadLetter, Options, Priority, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::body::{Fields, MaybeFields};
use crate::openapi::orders;
use crate::paging;
use crate::payload::Readable;
use crate::problem::{Kind, Problem};
use crate::routes::BASE;
use crate::tasks::parse_id;
use crate::turns::Turn;

mod requeueing;

use requeueing::{ManyRequeued, Requeueing};

/// Letters that one request runs again.
const REQUEUE_MAX: usize = 10_000;
/// A slower rate would plan further ahead than anybody means to.
const RATE_MIN: f64 = 0.01;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Browse {
    category: Option<Category>,
    code: Option<String>,
    text: Option<String>,
    /// What `next` of the page before says.
    #[param(maximum = 9007199254740991_u64)]
    after: Option<u64>,
    /// The most that a page has.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct FilterFields {
    category: Option<Category>,
    code: Option<String>,
    text: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterPage)]
pub(crate) struct Page {
    dead_letters: Vec<DeadLetter>,
    /// What to send as `after` for the next page; nothing more is there where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterView)]
pub(crate) struct Shown {
    #[serde(flatten)]
    letter: DeadLetter,
    headers: Vec<(String, String)>,
    #[serde(flatten)]
    body: Readable,
    /// The object that holds the payload, where a message was too small; without a payload
    /// beside this, it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_object: Option<String>,
    /// Of a large payload, until it is written.
    #[serde(skip)]
    _turn: Turn,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Requeued {
    /// The second life; the outcome of the first one stands.
    task_id: TaskId,
    requeue_of: TaskId,
    check_url: String,
}

type IdPath = Result<Path<String>, PathRejection>;

/// Lists dead letters
#[utoipa::path(
    get, path = "/dead-letters", operation_id = "list_dead_letters", tag = "dead letters",
    params(Browse),
    responses((status = 200, description = "Done.", body = Page)),
)]
pub(crate) async fn browse(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<Browse>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Kind::Syntax, error.body_text()))?;
    let (from, limit) = (paging::first(query.after)?, paging::limit(query.limit)?);
    let filter = LetterFilter {
        category: query.category,
        code: query.code,
        text: query.text,
    };
    let page = gateway.broker.letters(&filter, from, limit).await?;
    Ok(Json(Page {
        dead_letters: page.letters.into_iter().map(|found| found.letter).collect(),
        next: page.next.map(|next| next - 1),
    }))
}

/// Shows a dead letter
#[utoipa::path(
    get, path = "/dead-letters/{task_id}",
    operation_id = "show_dead_letter", tag = "dead letters",
    params(("task_id" = TaskId, Path, description = "The task.")),
    responses((status = 200, description = "Done.", body = Shown)),
)]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    id: IdPath,
) -> Result<Json<Shown>, Problem> {
    let stored = gateway.letter(&parse_id(id)?).await?;
    let turn = gateway.turns.next_if(stored.object().is_some()).await?;
    let max = gateway.object_bytes_max;
    let body = match gateway.broker.letter_body(&stored, max).await {
        Ok(body) => Readable::of(&body),
        // A letter that waits for its body is shown all the same.
        Err(ObjectError::Broker(error)) => return Err(error.into()),
        Err(_) => Readable::default(),
    };
    Ok(Json(Shown {
        body,
        payload_object: stored.object().map(str::to_owned),
        letter: stored.letter,
        headers: stored.headers,
        _turn: turn,
    }))
}

/// Throws a dead letter away
#[utoipa::path(
    delete, path = "/dead-letters/{task_id}",
    operation_id = "discard_dead_letter", tag = "dead letters",
    params(("task_id" = TaskId, Path, description = "The task.")),
    responses((status = 204, description = "Thrown away.")),
)]
pub(crate) async fn discard(
    State(gateway): State<Arc<Gateway>>,
    id: IdPath,
) -> Result<StatusCode, Problem> {
    let stored = gateway.letter(&parse_id(id)?).await?;
    gateway.broker.discard_letter(&stored).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a dead letter's task once more
#[utoipa::path(
    post, path = "/dead-letters/{task_id}/requeue",
    operation_id = "requeue_dead_letter", tag = "dead letters",
    params(("task_id" = TaskId, Path, description = "The task.")),
    request_body = Option<orders::Requeue>,
    responses((status = 200, description = "Done.", body = Requeued)),
)]
pub(crate) async fn requeue(
    State(gateway): State<Arc<Gateway>>,
    id: IdPath,
    MaybeFields(mut fields): MaybeFields,
) -> Result<Json<Requeued>, Problem> {
    let stored = gateway.letter(&parse_id(id)?).await?;
    let mut how = take_how(&mut fields, gateway.schedules_max)?;
    let patch = fields.take::<Map<String, Value>>("patch")?;
    let _turn = match (&patch, stored.object()) {
        (Some(_), Some(_)) => fields.turn(&gateway.turns).await?,
        _ => Turn::default(),
    };
    let body = match &patch {
        Some(_) => {
            let max = gateway.object_bytes_max;
            gateway.broker.letter_body(&stored, max).await?
        }
        None => Bytes::new(),
    };
    how.payload = new_payload(fields.take("payload")?, patch, &body)?;
    fields.nothing_else()?;
    let task_id = gateway.broker.requeue(&stored, &how).await?;
    Ok(Json(Requeued {
        check_url: format!("{BASE}/tasks/{task_id}"),
        task_id,
        requeue_of: stored.letter.task_id,
    }))
}

/// Runs many of them once more
#[utoipa::path(
    post, path = "/dead-letters/requeue",
    operation_id = "requeue_dead_letters", tag = "dead letters",
    request_body = orders::RequeueMany,
    responses((status = 200, description = "Done.", body = ManyRequeued)),
)]
pub(crate) async fn requeue_many(
    State(gateway): State<Arc<Gateway>>,
    mut fields: Fields,
) -> Result<Json<ManyRequeued>, Problem> {
    // An object: a list would fill the fields one after the other.
    let filter = fields.take::<Map<String, Value>>("filter")?;
    let filter = Fields::require("filter", filter)
        .map_err(|problem| problem.remedy("send {\"filter\": {}} to mean all of them"))?;
    let filter = FilterFields::deserialize(Value::Object(filter))
        .map_err(|error| Problem::invalid("filter", format!("filter: {error}")))?;
    let filter = LetterFilter {
        category: filter.category,
        code: filter.code,
        text: filter.text,
    };
    let limit = fields.take::<usize>("limit")?.unwrap_or(REQUEUE_MAX);
    let limit = paging::bounded(limit, REQUEUE_MAX)?;
    let rate = fields.take::<f64>("rate_per_second")?;
    if rate.is_some_and(|rate| rate < RATE_MIN) {
        let why = format!("rate_per_second: use {RATE_MIN} or more");
        return Err(Problem::invalid("rate_per_second", why));
    }
    let dry_run = fields.take::<bool>("dry_run")?.unwrap_or(false);
    let how = take_how(&mut fields, gateway.schedules_max)?;
    fields.nothing_else()?;
    let mut requeueing = Requeueing::new(&gateway.broker, how, rate, dry_run);
    let more = requeueing.go_on(&filter, limit).await?;
    Ok(Json(requeueing.report(more)))
}

impl Gateway {
    async fn letter(&self, id: &TaskId) -> Result<StoredLetter, Problem> {
        let found = self.broker.letter(id).await?;
        found.ok_or_else(|| {
            Problem::new(Kind::UnknownTask, format!("task {id} has no dead letter"))
                .remedy("GET /api/hp/dead-letters, or fleet.dead_letter.list over NATS, lists those that there are")
        })
    }
}

pub(crate) fn take_how(fields: &mut Fields, schedules_max: u64) -> Result<Requeue, Problem> {
    let max_retries = fields.take::<u32>("max_retries")?;
    let max = Options::MAX_RETRIES_MAX;
    if max_retries.is_some_and(|retries| retries > max) {
        return Err(Problem::invalid(
            "max_retries",
            format!("max_retries: use 0 to {max}"),
        ));
    }
    Ok(Requeue {
        priority: fields.take::<Priority>("priority")?,
        max_retries,
        payload: None,
        at: None,
        schedules_max,
        is_one_of_many: false,
    })
}

/// `payload` in the place of the old one, or `patch` for a part of it (RFC 7396).
fn new_payload(
    payload: Option<Value>,
    patch: Option<Map<String, Value>>,
    old: &[u8],
) -> Result<Option<Bytes>, Problem> {
    let new = match (payload, patch) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let why = "patch: payload is given as well";
            return Err(Problem::invalid("patch", why).remedy("send one of the two"));
        }
        (Some(payload), None) => payload,
        (None, Some(patch)) => {
            let mut old = serde_json::from_slice(old).map_err(|_| {
                Problem::invalid(
                    "patch",
                    "patch: the payload that the task died with is no JSON",
                )
                .remedy("send a whole payload instead")
            })?;
            merge(&mut old, Value::Object(patch));
            old
        }
    };
    Ok(Some(new.to_string().into()))
}

/// JSON Merge Patch, RFC 7396: `null` removes, objects merge, all else replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(fields) = target {
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(&name);
            } else {
                merge(fields.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges() {
        let mut value = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
        merge(
            &mut value,
            json!({"a": null, "b": {"c": null, "x": {"y": null, "z": 1}}, "e": 5}),
        );
        assert_eq!(value, json!({"b": {"d": 3, "x": {"z": 1}}, "e": 5}));
    }
}
