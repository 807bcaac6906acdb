//! Dead letters: tasks that failed for good, kept with all that is needed to run them again.

use super::subjects::{DEAD_LETTER_HEADER, dead_letter};
use super::{Broker, BrokerError, Delivery};
use crate::model::DeadLetter;

impl Broker {
    /// Stores a dead letter: the message as it came, with the reason in a header.
    /// There is one per task, so storing it again replaces it.
    pub async fn bury(&self, letter: &DeadLetter, delivery: &Delivery) -> Result<(), BrokerError> {
        let doing = || format!("storing the dead letter of task {}", letter.task_id);
        let reason = serde_json::to_string(letter).map_err(|source| BrokerError::Unreadable {
            doing: doing(),
            source,
        })?;
        let mut headers = delivery.own_headers();
        headers.insert(DEAD_LETTER_HEADER, reason);
        let subject = dead_letter(letter.category, &letter.task_id);
        let failed = |error| BrokerError::of_publish(doing(), error);
        let sent = self
            .jetstream
            .publish_with_headers(subject, headers, delivery.payload.clone())
            .await
            .map_err(failed)?;
        sent.await.map_err(failed)?;
        Ok(())
    }
}
