//! What the `run` of every category service comes down to.

use super::Context;
use crate::worker::{self, Handler};

/// Serves a category with its handler until the context's stop, then drains.
pub async fn serve<H: Handler>(context: Context, handler: H) -> anyhow::Result<()> {
    let (worker, streams) = (context.worker()?, context.streams()?);
    let broker = context.broker(H::CATEGORY.name()).await?;
    let readiness = context.readiness;
    worker::run(handler, broker, &worker, &streams, context.stop, || {
        readiness.mark();
    })
    .await?;
    Ok(())
}
