//! What the `run` of every category service comes down to.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::broker::BrokerError;
use crate::worker::{self, Handler, Meter};

/// A connection that ended for good is not replaced more often than this.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Serves a category with its handler until the context's stop, then drains.
pub async fn serve<H: Handler>(context: Context, handler: H) -> anyhow::Result<()> {
    let (worker, streams) = (context.worker()?, context.streams()?);
    let (category, handler) = (handler.category(), Arc::new(handler));
    let presence = context.readiness.announce(category.name());
    // Of this process, however often it connects.
    let meter = Meter::new(&context.metrics);
    let mut is_first = true;
    loop {
        let broker = context.broker(category.name()).await?;
        presence.started(&broker);
        if !is_first {
            // Whatever ended the connection must not end the next one too.
            broker.quarantine(category, "quarantine").await?;
        }
        let ready = |is_ready| presence.set_bound(is_ready);
        let (handler, stop, meter) = (
            Arc::clone(&handler),
            context.stop.clone(),
            Arc::clone(&meter),
        );
        let ended = worker::run(handler, broker, &worker, &streams, stop, ready, meter).await;
        presence.set_bound(false);
        match ended {
            Err(error @ BrokerError::Closed { .. }) => tracing::error!(%error, "connecting anew"),
            ended => return Ok(ended?),
        }
        is_first = false;
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}
