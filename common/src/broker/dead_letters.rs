//! Dead letters: tasks that failed for good, kept with all that is needed to run them again.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use super::bodies::own_object;
use super::headers::header;
use super::publish::json_header;
use super::subjects::{DEAD_LETTER_HEADER, OBJECT_HEADER, dead_letter};
use super::{Broker, BrokerError, Delivery, Refusal};
use crate::model::DeadLetter;

/// So much is kept of headers that cannot be read, where not all of them can: half of what there is room for.
const UNREADABLE_CHARS_MAX: usize = 32 * 1_024;

impl Broker {
    /// Stores a dead letter: the message as it came, with the reason in a header.
    /// There is one per task, so storing it again replaces it.
    pub async fn bury(&self, letter: &DeadLetter, delivery: &Delivery) -> Result<(), BrokerError> {
        self.bury_message(letter, delivery.own_headers(), &delivery.payload)
            .await
    }

    pub(super) async fn bury_message(
        &self,
        letter: &DeadLetter,
        headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<(), BrokerError> {
        // Headers have a limit of their own, 64 KiB together. What cannot be kept is left out:
        // first the history, which the record has as well, and the end of what could not be read, then what
        // the publisher sent, but for the name of the body.
        let brief = &DeadLetter {
            failed_attempts: Vec::new(),
            unreadable_headers: letter.unreadable_headers.as_deref().map(beginning),
            ..letter.clone()
        };
        let mut bare = HeaderMap::new();
        if let Some(object) = header(Some(&headers), OBJECT_HEADER) {
            bare.insert(OBJECT_HEADER, object);
        }
        let less_and_less = [(letter, &headers), (brief, &headers), (brief, &bare)];
        let stored = self.store_first_that_fits(&less_and_less, payload).await;
        if !is_too_large(&stored) || payload.is_empty() {
            return stored;
        }
        // The task was accepted when messages could be larger: its body goes beside the letter.
        let name = own_object(letter.category, &letter.task_id);
        self.put_object(&name, payload).await?;
        let [headers, bare] = [headers, bare].map(|mut headers| {
            headers.insert(OBJECT_HEADER, name.as_str());
            headers
        });
        let less_and_less = [(brief, &headers), (brief, &bare)];
        let stored = self
            .store_first_that_fits(&less_and_less, &Bytes::new())
            .await;
        // Who tries again brings another one.
        if is_too_large(&stored) {
            self.try_to_remove(&name).await;
        }
        stored
    }

    async fn store_first_that_fits(
        &self,
        letters: &[(&DeadLetter, &HeaderMap)],
        payload: &Bytes,
    ) -> Result<(), BrokerError> {
        let mut stored = Ok(());
        for (letter, headers) in letters {
            stored = self.store_letter(letter, (*headers).clone(), payload).await;
            if !is_too_large(&stored) {
                break;
            }
        }
        stored
    }

    async fn store_letter(
        &self,
        letter: &DeadLetter,
        headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<(), BrokerError> {
        let doing = || format!("storing the dead letter of task {}", letter.task_id);
        let subject = dead_letter(letter.category, &letter.task_id);
        self.publish_letter(doing, subject, letter, headers, payload)
            .await
    }

    /// A task as it came, with what became of it in a header.
    pub(super) async fn publish_letter(
        &self,
        doing: impl Fn() -> String,
        subject: String,
        letter: &DeadLetter,
        mut headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<(), BrokerError> {
        headers.insert(DEAD_LETTER_HEADER, json_header(&doing, letter)?);
        let message = PublishMessage::build()
            .payload(payload.clone())
            .headers(headers);
        self.publish(doing, subject, message).await.map(drop)
    }
}

/// What is encoded in base 64 decodes as far as it goes, in whole groups of four characters.
fn beginning(encoded: &str) -> String {
    encoded.chars().take(UNREADABLE_CHARS_MAX).collect()
}

fn is_too_large(stored: &Result<(), BrokerError>) -> bool {
    let refusal = stored.as_ref().err().and_then(BrokerError::refusal);
    matches!(refusal, Some(Refusal::TooLarge(_)))
}
