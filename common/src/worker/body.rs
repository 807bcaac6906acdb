//! A task's body, wherever it is: in the message, or an object that the message names.

use std::time::Duration;

use bytes::Bytes;

use crate::broker::{Broker, Delivery, ObjectError};
use crate::model::{Failure, FailureCode, Outcome};

/// How soon a task comes back whose body the store could not give.
const BACK_AFTER: Duration = Duration::from_secs(5);

/// `Err` is the outcome of a task that cannot start without it.
pub(super) async fn fetch(
    broker: &Broker,
    delivery: &Delivery,
    bytes_max: usize,
) -> Result<Bytes, Outcome> {
    let Some(name) = &delivery.envelope.object else {
        return Ok(delivery.payload.clone());
    };
    // Boxed, as few tasks have one: a small future is what most of them need.
    let fetched = Box::pin(broker.object(name, bytes_max)).await;
    fetched.map_err(|error| match &error {
        ObjectError::Missing { .. } => Outcome::Reject(Failure::new(
            FailureCode::BODY_MISSING,
            format!("{error}, which is to be the task's body: store it before the task, and anew to run the task again"),
        )),
        ObjectError::TooLarge { .. } => Outcome::Reject(Failure::new(
            FailureCode::BODY_TOO_LARGE,
            format!("{error} (streams.object_bytes_max)"),
        )),
        ObjectError::Damaged { .. } => {
            Outcome::retry(Failure::new(FailureCode::BODY_DAMAGED, error.to_string()))
        }
        // No fault of the task.
        ObjectError::Broker(_) => Outcome::Defer {
            reason: Failure::new("store_unavailable", error.to_string()),
            after: BACK_AFTER,
        },
    })
}
