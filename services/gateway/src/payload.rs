//! `GET /tasks/{task_id}/payload`: what a task was submitted with, for as long as that is kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flotilla_common::model::TaskId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::Gateway;
use crate::problem::{Document, Kind, Problem};
use crate::tasks::{parse_id, unknown};
use crate::turns::Turn;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payload {
    task_id: TaskId,
    #[serde(flatten)]
    body: Readable,
    /// Of a large one, until it is written.
    #[serde(skip)]
    _turn: Turn,
}

/// A body that may be anything.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Readable {
    /// As JSON, where it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
    /// Where it is not: its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl Readable {
    pub(crate) fn of(body: &[u8]) -> Self {
        let payload = serde_json::from_slice(body).ok();
        Self {
            payload_base64: payload.is_none().then(|| BASE64_STANDARD.encode(body)),
            payload,
        }
    }
}

/// What a task was submitted with
#[utoipa::path(
    get, path = "/tasks/{task_id}/payload", operation_id = "show_payload", tag = "tasks",
    params(("task_id" = TaskId, Path, description = "The task.")),
    responses(
        (status = 200, description = "Done.", body = Payload),
        (status = 410, description = "It is kept no more.",
            body = Document, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Payload>, Problem> {
    let task_id = parse_id(id)?;
    let Some(submitted) = gateway.broker.submitted(&task_id).await? else {
        return Err(match gateway.find(&task_id).await? {
            Some(_) => gone(&task_id),
            None => unknown(&task_id),
        });
    };
    let turn = gateway.turns.next_if(submitted.is_object()).await?;
    let bytes_max = gateway.object_bytes_max;
    let body = gateway.broker.submitted_body(&submitted, bytes_max).await?;
    Ok(Json(Payload {
        body: Readable::of(&body.ok_or_else(|| gone(&task_id))?),
        task_id,
        _turn: turn,
    }))
}

fn gone(id: &TaskId) -> Problem {
    let detail = format!("what task {id} was submitted with is kept no more");
    Problem::new(Kind::Gone, detail).remedy(
        "a payload is kept until its task is completed, and with a dead letter until that is thrown away or too old",
    )
}
