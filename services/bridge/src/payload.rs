//! A task's body as it was published, whatever it is made of, with its publisher's headers.

use bytes::Bytes;
use flotilla_common::broker::{Delivery, PublisherHeaders};
use flotilla_common::model::Outcome;
use flotilla_common::worker::Payload;

#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) body: Bytes,
    pub(crate) headers: PublisherHeaders,
    /// Where the body is, if it was no part of the message.
    pub(crate) object: Option<String>,
}

impl Payload for Raw {
    fn read(body: Bytes, delivery: &Delivery) -> Result<Self, Outcome> {
        Ok(Self {
            body,
            headers: delivery.publisher_headers(),
            object: delivery.envelope.object.clone(),
        })
    }
}
