//! Streams and consumers that somebody deletes while the fleet runs are made anew. Where the server tells users
//! apart, workers may not do so, and gateways do it for all.

use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, StreamLimits};

/// A look asks for each of them: what is deleted is told of, and this finds what was not told.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// For as long as it is polled.
pub(crate) async fn keep(broker: Broker, streams: StreamLimits) {
    let mut deletions = match broker.deletions().await {
        Ok(deletions) => deletions,
        // Only where the connection has ended for good.
        Err(error) => return tracing::warn!(%error, "what is deleted will not be made anew"),
    };
    let mut wait = LOOK_EVERY;
    loop {
        // It is over where nothing was told for so long.
        let _ = tokio::time::timeout(wait, deletions.next()).await;
        let looked = match broker.is_connected() {
            true => look(&broker, &streams).await.map(|()| LOOK_EVERY),
            false => Ok(LOOK_AGAIN_AFTER),
        };
        wait = looked.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not look whether all streams and consumers are there");
            LOOK_AGAIN_AFTER
        });
    }
}

async fn look(broker: &Broker, streams: &StreamLimits) -> Result<(), BrokerError> {
    let missing = broker.facts().await?.missing;
    if missing.is_empty() {
        return Ok(());
    }
    tracing::error!(
        missing = missing.join(", "),
        "somebody has deleted what the fleet needs; making it anew"
    );
    broker.ensure_topology(streams).await.map(drop)
}
