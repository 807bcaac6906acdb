//! Streams and consumers that somebody deletes while the fleet runs are made anew. Where the server tells users
//! apart, workers may not do so, and gateways do it for all.

use std::time::Duration;

use flotilla_common::broker::{Broker, BrokerError, StreamLimits};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// For as long as it is polled.
pub(crate) async fn keep(broker: Broker, streams: StreamLimits) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !broker.is_connected() {
            continue;
        }
        if let Err(error) = look(&broker, &streams).await {
            tracing::warn!(%error, "could not look whether all streams and consumers are there");
        }
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
