//! What a handler takes: made of a task's body before the handler sees the task.

use std::fmt::Display;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::broker::Delivery;
use crate::model::{Failure, FailureCode, Outcome};

/// Whatever can be read from JSON is one. A type of its own reading takes the bytes as they are.
pub trait Payload: Sized + Send + 'static {
    /// `Err` is the outcome of a task whose body is none.
    fn read(body: Bytes, delivery: &Delivery) -> Result<Self, Outcome>;
}

impl<T: DeserializeOwned + Send + 'static> Payload for T {
    fn read(body: Bytes, _: &Delivery) -> Result<Self, Outcome> {
        // A list would be taken for the fields in their order, which nobody means.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(invalid("it is a list: send a JSON object"));
        }
        serde_json::from_slice(&body).map_err(invalid)
    }
}

fn invalid(why: impl Display) -> Outcome {
    Outcome::Reject(Failure::new(
        FailureCode::INVALID_PAYLOAD,
        format!("the task's body is not what its category takes: {why}"),
    ))
}
