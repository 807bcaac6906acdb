//! What the `run` of every category service comes down to.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::context::Counted;
use crate::broker::BrokerError;
use crate::worker::{self, Handler};

/// A connection that ended for good is not replaced more often than this.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Serves a category with its handler until the context's stop, then drains.
pub async fn serve<H: Handler>(context: Context, handler: H) -> anyhow::Result<()> {
    let (worker, streams) = (context.worker()?, context.streams()?);
    let (category, handler) = (handler.category(), Arc::new(handler));
    let mut is_first = true;
    loop {
        let broker = context.broker(category.name()).await?;
        if !is_first {
            // Whatever ended the connection must not end the next one too.
            broker.quarantine(category, "quarantine").await?;
        }
        let mut counted = Counted::new(&context.readiness);
        let ready = |is_ready| counted.set(is_ready);
        let (handler, stop) = (Arc::clone(&handler), context.stop.clone());
        match worker::run(handler, broker, &worker, &streams, stop, ready).await {
            Err(error @ BrokerError::Closed { .. }) => tracing::error!(%error, "connecting anew"),
            ended => return Ok(ended?),
        }
        is_first = false;
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}
