//! A task that is submitted by a request: its payload is the body, and how it is to run is said
//! by the headers of a publish, or by the fields that HTTP takes.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flotilla_common::broker::header_names::{
    BRAND, DEADLINE, IDEMPOTENCY_KEY, KEEP_OUTCOME, MAX_RETRIES, NEEDS, TASK_ID, TIMEOUT,
};
use flotilla_common::broker::{OBJECT_HEADER, Request};
use serde_json::Value;

use super::lane::Lane;
use crate::body::{AnyJson, Fields};
use crate::problem::Problem;
use crate::submit::Beside;
use crate::wait::Wait;
use crate::{Config, Gateway};

pub(super) const WAIT: &str = "Flotilla-Wait";
/// Headers that say what a field says, in the same words.
const TEXTS: [(&str, &str); 7] = [
    (TASK_ID, "task_id"),
    (IDEMPOTENCY_KEY, "idempotency_key"),
    (TIMEOUT, "timeout"),
    (DEADLINE, "deadline"),
    (KEEP_OUTCOME, "keep_outcome"),
    ("Flotilla-Run-At", "run_at"),
    ("Flotilla-Delay", "delay"),
];

pub(super) struct Submission {
    lane: Lane,
    fields: Fields,
    /// What is no object has no fields: all of it is the task's.
    payload: Option<Bytes>,
    brand: Option<String>,
    /// What the header says.
    wait: Option<String>,
}

/// `wait` is no field of a payload where a request can wait: it says so in the header, or there.
pub(super) fn take_to_ask(request: &Request) -> Result<Submission, Problem> {
    let mut submission = take(request)?;
    let field = submission.fields.take::<Value>("wait")?;
    submission.wait = match (submission.wait, field) {
        (Some(_), Some(_)) => {
            let why = format!("wait: {WAIT} says it as well");
            return Err(Problem::invalid("wait", why).remedy("say it once"));
        }
        (None, Some(Value::String(text))) => Some(text),
        (None, Some(value)) => Some(value.to_string()),
        (header, None) => header,
    };
    Ok(submission)
}

pub(super) fn take(request: &Request) -> Result<Submission, Problem> {
    let lane = Lane::of(request.subject())?;
    if request.header(OBJECT_HEADER).is_some() {
        let why = format!("{OBJECT_HEADER}: a request has its payload with it");
        return Err(Problem::invalid(OBJECT_HEADER, why)
            .remedy("publish to tasks.<category>.<priority> with this header and an empty body"));
    }
    let (mut fields, payload) = match AnyJson::parse(request.question().clone())? {
        AnyJson::Fields(fields) => (fields, None),
        AnyJson::Other(payload) => (Fields::default(), Some(payload)),
    };
    let mut put = |header: &str, name: &str, value: Value| {
        if fields.read::<Value>(name)?.is_some() {
            let why = format!("{name}: {header} says it as well");
            return Err(Problem::invalid(name, why).remedy("say it once"));
        }
        fields.set(name, value);
        Ok(())
    };
    if let Some(priority) = lane.priority {
        put("the subject", "priority", priority.api_name().into())?;
    }
    for (header, name) in TEXTS {
        if let Some(text) = request.header(header) {
            put(header, name, text.trim().into())?;
        }
    }
    if let Some(text) = request.header(NEEDS) {
        let names: Vec<_> = text.split(',').map(str::trim).collect();
        put(NEEDS, "needs", names.into())?;
    }
    if let Some(text) = request.header(MAX_RETRIES) {
        // What is no number is refused as such, with the header's words.
        let number = text.trim().parse::<u32>();
        let value = number.map_or_else(|_| Value::from(text), Value::from);
        put(MAX_RETRIES, "max_retries", value)?;
    }
    Ok(Submission {
        lane,
        fields,
        payload,
        brand: request.header(BRAND).map(|brand| brand.trim().to_owned()),
        wait: request.header(WAIT).map(str::to_owned),
    })
}

impl Submission {
    /// How long an ask waits for the outcome.
    pub(super) fn wait_or(&self, config: &Config) -> Result<Option<Duration>, Problem> {
        let wait = Wait::parse(self.wait.as_deref(), config)?;
        Ok(wait.or(config.ask_wait.min(config.wait_max)).time())
    }

    pub(super) fn must_not_wait(&self) -> Result<(), Problem> {
        match self.wait {
            None => Ok(()),
            Some(_) => Err(Problem::invalid(
                WAIT,
                "fleet.submit answers at once, and waits for nothing",
            )
            .remedy("ask with fleet.ask, or leave the header out")),
        }
    }

    pub(super) async fn submit(
        self,
        gateway: &Gateway,
        wait: Option<Duration>,
    ) -> Result<Response, Problem> {
        let beside = Beside::new(self.brand, self.payload);
        let answer = gateway.take_from(self.lane.category, self.fields, beside, wait);
        answer.await.map(Json).map(IntoResponse::into_response)
    }
}
