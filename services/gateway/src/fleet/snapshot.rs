//! What the stats service knows, asked for anew for each request: a gateway keeps no numbers.

use flotilla_common::broker::{BrokerError, STATS_REQUEST};
use flotilla_common::model::Snapshot;

use crate::Gateway;
use crate::problem::Problem;
use crate::refusal::unavailable;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("the gateway is not connected to the broker")]
    Disconnected,
    #[error("no answer in time: the stats service, or the broker, is stuck")]
    Late(#[source] BrokerError),
    #[error("the stats service does not answer")]
    Unanswered(#[source] BrokerError),
    #[error("the stats service answers with what this version cannot read")]
    Unreadable(#[source] serde_json::Error),
}

impl Gateway {
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        // Without a connection the question would only wait for its time-out.
        if !self.broker.is_connected() {
            return Err(SnapshotError::Disconnected);
        }
        let answer = self.broker.ask(STATS_REQUEST).await;
        let answer = answer.map_err(|error| match error {
            // Where nobody is there to answer, the broker says so at once.
            BrokerError::Unavailable { .. } => SnapshotError::Late(error),
            _ => SnapshotError::Unanswered(error),
        })?;
        serde_json::from_slice(&answer).map_err(SnapshotError::Unreadable)
    }
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Self {
        let cause: &dyn std::error::Error = &error;
        tracing::warn!(error = cause, "no statistics to show");
        unavailable(error.to_string())
    }
}
