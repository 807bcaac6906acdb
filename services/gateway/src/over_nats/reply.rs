//! An answer as it goes back: JSON, or a refusal as the services API has it, with the problem
//! details as its body. What is too large for a message becomes an object.

use axum::body::to_bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flotilla_common::broker::{OBJECT_HEADER, Refused, Request};
use serde_json::{Value, json};

use crate::Gateway;
use crate::problem::Problem;

pub(super) async fn send(gateway: &Gateway, request: Request, response: Response) {
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type == "application/problem+json");
    if is_problem {
        return refuse(gateway, request, response).await;
    }
    let body = read(response).await;
    if body.len() <= gateway.broker.answer_room() {
        return request.respond(body, &[]).await;
    }
    match gateway.broker.store_answer(&body).await {
        Ok(name) => {
            let object = json!({"object": {"name": name, "bytes": body.len()}});
            let header = (OBJECT_HEADER.to_owned(), name);
            request.respond(object.to_string().into(), &[header]).await;
        }
        Err(error) => {
            let problem = Problem::from(error).into_response();
            refuse(gateway, request, problem).await;
        }
    }
}

async fn refuse(gateway: &Gateway, request: Request, response: Response) {
    let code = response.status().as_u16();
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|seconds| seconds.to_str().ok());
    let headers = after.map(|seconds| ("Retry-After".to_owned(), seconds.to_owned()));
    let headers = headers.into_iter().collect();
    let mut body = read(response).await;
    let mut problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    if body.len() > gateway.broker.answer_room() {
        // A task that is shown along can be had by itself.
        if let Some(members) = problem.as_object_mut() {
            members.remove("task");
        }
        body = problem.to_string().into();
    }
    let part = |name: &str| problem[name].as_str().unwrap_or_default();
    let why = match (part("detail"), part("remedy")) {
        (detail, "") => detail.to_owned(),
        (detail, remedy) => format!("{detail}; {remedy}"),
    };
    request
        .refuse(Refused {
            code,
            why,
            body,
            headers,
        })
        .await;
}

/// Every answer is JSON, also that there is nothing to say.
async fn read(response: Response) -> Bytes {
    // It is in memory already.
    let body = to_bytes(response.into_body(), usize::MAX).await;
    match body {
        Ok(body) if !body.is_empty() => body,
        _ => Bytes::from_static(b"{}"),
    }
}
