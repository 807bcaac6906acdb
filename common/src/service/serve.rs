//! What the `run` of every category service comes down to.

use std::sync::Arc;
use std::time::Duration;

use super::{Context, Running};
use crate::broker::BrokerError;
use crate::worker::{self, Handler, Meter, Work, Worker};

/// A connection that ended for good is not replaced more often than this.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Serves a category with its handler until the context's stop, then drains.
pub fn serve<H: Handler>(context: Context, handler: H) -> Running {
    serve_work(context, Arc::new(handler))
}

fn serve_work(context: Context, work: Arc<dyn Work>) -> Running {
    Box::pin(outlast(context, work))
}

async fn outlast(context: Context, work: Arc<dyn Work>) -> anyhow::Result<()> {
    let (config, streams) = (context.worker()?, context.streams()?);
    let category = work.category();
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
        let worker = Worker {
            work: Arc::clone(&work),
            config: &config,
            streams: &streams,
            stop: context.stop.clone(),
            ready: Box::new(|is_ready| presence.set_bound(is_ready)),
            meter: Arc::clone(&meter),
        };
        let ended = worker::live(worker, broker).await;
        presence.set_bound(false);
        match ended {
            Err(error @ BrokerError::Closed { .. }) => tracing::error!(%error, "connecting anew"),
            ended => return Ok(ended?),
        }
        is_first = false;
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}
