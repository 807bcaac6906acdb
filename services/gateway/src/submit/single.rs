//! The calls that submit one task, and what is checked of it before anybody has it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flotilla_common::model::{Category, Manifest, Order};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::{Name, OWN_FIELDS, check_brand};
use super::submission::Answer;
use super::{scraping, url};
use crate::Gateway;
use crate::body::Fields;
use crate::openapi::parameters::{Names, Streams, Waits};
use crate::openapi::{bodies, event};
use crate::paging;
use crate::problem::{Kind, Problem};
use crate::stream::Streamed;
use crate::wait::Wait;

/// Longer ones are no questions; the worker has the same limit.
const QUESTION_CHARS_MAX: usize = 2_000;
const PASSAGES_MAX: usize = 20;
const MODES: [&str; 3] = ["auto", "generative", "extractive"];

type Taken = Result<Json<Answer>, Problem>;

/// Scrapes a page
#[utoipa::path(
    post, path = "/scrape", operation_id = "scrape", tag = "tasks",
    params(Waits, Names),
    request_body = bodies::Scrape,
    responses(
        (status = 200, description = "The task, or with wait its outcome.", body = Answer),
    ),
)]
pub(crate) async fn scrape(
    State(gateway): State<Arc<Gateway>>,
    wait: Wait,
    name: Name,
    fields: Fields,
) -> Taken {
    gateway.take(Category::Scraping, fields, name, wait).await
}

/// Indexes a document or texts
#[utoipa::path(
    post, path = "/embed", operation_id = "embed", tag = "tasks",
    params(Waits, Names),
    request_body = bodies::Embed,
    responses(
        (status = 200, description = "The task, or with wait its outcome.", body = Answer),
    ),
)]
pub(crate) async fn embed(
    State(gateway): State<Arc<Gateway>>,
    wait: Wait,
    name: Name,
    fields: Fields,
) -> Taken {
    gateway.take(Category::Embedding, fields, name, wait).await
}

/// Runs many tasks as one
#[utoipa::path(
    post, path = "/batch", operation_id = "batch", tag = "tasks",
    params(Waits, Names),
    request_body = bodies::Batch,
    responses(
        (status = 200, description = "The task, or with wait its outcome.", body = Answer),
    ),
)]
pub(crate) async fn batch(
    State(gateway): State<Arc<Gateway>>,
    wait: Wait,
    name: Name,
    fields: Fields,
) -> Taken {
    gateway.take(Category::Batch, fields, name, wait).await
}

/// Orders maintenance
#[utoipa::path(
    post, path = "/maintenance", operation_id = "maintenance", tag = "tasks",
    params(Waits, Names),
    request_body = bodies::Maintenance,
    responses(
        (status = 200, description = "The task, or with wait its outcome.", body = Answer),
    ),
)]
pub(crate) async fn maintenance(
    State(gateway): State<Arc<Gateway>>,
    wait: Wait,
    name: Name,
    fields: Fields,
) -> Taken {
    gateway
        .take(Category::Maintenance, fields, name, wait)
        .await
}

/// Answers a question
///
/// Answers with the answer, unless it takes longer than people wait; or with events, where
/// the caller wants to see it while it is made.
#[utoipa::path(
    post, path = "/query", operation_id = "query", tag = "tasks",
    params(Waits, Streams, Names),
    request_body = bodies::Query,
    responses(
        (status = 200, description = "The answer; or the task, where it takes longer.",
            content((Answer = "application/json"), (event::Event = "text/event-stream"))),
    ),
)]
pub(crate) async fn query(
    State(gateway): State<Arc<Gateway>>,
    wait: Wait,
    streamed: Streamed,
    name: Name,
    fields: Fields,
) -> Result<Response, Problem> {
    if streamed.is_wanted() {
        return gateway.answer_in_pieces(fields, name, wait).await;
    }
    let wait = wait.or(gateway.config.query_wait);
    let answer = gateway.take(Category::Query, fields, name, wait).await;
    answer.map(IntoResponse::into_response)
}

/// What can be told of a payload before a worker has it; the worker checks all of it.
pub(crate) fn check_payload(category: Category, fields: &Fields) -> Result<(), Problem> {
    check_brand(fields)?;
    match category {
        Category::Scraping => {
            let url = Fields::require("url", fields.read::<String>("url")?)?;
            url::check(&url).map_err(|error| Problem::invalid("url", format!("url: {error}")))?;
            scraping::check(fields)
        }
        Category::Query => check_question(fields),
        Category::Embedding => check_texts(fields),
        Category::Batch => check_whole::<Manifest>(fields),
        Category::Maintenance => check_whole::<Order>(&fields.without(OWN_FIELDS)),
        // Its handler alone knows.
        Category::Custom(_) => Ok(()),
    }
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
    if !(1..=QUESTION_CHARS_MAX).contains(&chars) {
        let why = format!("query: it has {chars} characters: use 1 to {QUESTION_CHARS_MAX}");
        return Err(Problem::invalid("query", why));
    }
    let passages = fields.read::<usize>("k")?;
    if passages.is_some_and(|k| !(1..=PASSAGES_MAX).contains(&k)) {
        let why = format!("k: use 1 to {PASSAGES_MAX}");
        return Err(Problem::invalid("k", why));
    }
    let sequence = fields.read::<u64>("at_least")?;
    if sequence.is_some_and(|sequence| sequence > paging::SEQUENCE_MAX) {
        let why = "at_least: use the sequence that an embedding has answered with";
        return Err(Problem::invalid("at_least", why));
    }
    let mode = fields.read::<String>("mode")?;
    if mode.is_some_and(|mode| !MODES.contains(&&*mode)) {
        let why = format!("mode: use one of {}", MODES.join(", "));
        return Err(Problem::invalid("mode", why));
    }
    fields.read::<bool>("stream").map(drop)
}

fn check_texts(fields: &Fields) -> Result<(), Problem> {
    let document = fields.read::<Map<String, Value>>("document")?;
    let texts = fields.read::<Vec<String>>("texts")?;
    match (document, texts) {
        (Some(document), None) => check_document(&document),
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

fn check_document(document: &Map<String, Value>) -> Result<(), Problem> {
    let is_text =
        |value: Option<&Value>| matches!(value, None | Some(Value::Null | Value::String(_)));
    let is_there = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        text.is_some_and(|text| !text.trim().is_empty())
    };
    let is_time = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        is_text(value) && text.is_none_or(|text| text.parse::<Timestamp>().is_ok())
    };
    let get = |name| document.get(name);
    let rules = [
        ("id", is_there(get("id")), "give a text that is not empty"),
        (
            "text",
            is_there(get("text")),
            "give a text that is not empty",
        ),
        (
            "title",
            is_text(get("title")),
            "give a text, or leave it out",
        ),
        ("url", is_text(get("url")), "give a text, or leave it out"),
        (
            "as_of",
            is_time(get("as_of")),
            "give a time as in RFC 3339, or leave it out",
        ),
    ];
    match rules.into_iter().find(|(_, holds, _)| !holds) {
        None => Ok(()),
        Some((name, _, rule)) => {
            let field = format!("document.{name}");
            let why = format!("{field}: {rule}");
            Err(Problem::invalid(field, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
