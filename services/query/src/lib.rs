//! The query category: answers questions out of the indexed documents, with the sentences that
//! say so. Each process keeps the whole index in memory and follows what is stored.

mod handler;
mod payload;

use anyhow::Context as _;
use flotilla_common::service::{Context, serve};
use flotilla_knowledge::{Config, Embedder, Live, Vectors};

pub use handler::QueryHandler;
pub use payload::Payload;

/// Runs until the context's stop, then drains. Takes no task before it knows all documents.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let embedder = Embedder::new(&config).context("section [knowledge]")?;
    let broker = context.broker("query-index").await?;
    let index = Live::start(broker, embedder.id(), Vectors::Here);
    tokio::select! {
        () = index.current() => {}
        () = context.stop.cancelled() => return Ok(()),
    }
    serve(context, QueryHandler::new(embedder, index)).await
}
