//! The embedding category: cuts documents into chunks, embeds these, and stores the whole as
//! the document's one version. `payload` is what a task brings, `handler` the work.

mod change;
mod handler;
mod payload;

use std::process::ExitCode;

use anyhow::Context as _;
use flotilla_common::service::{self, Context, Running, serve};
use flotilla_knowledge::{Config, Embedder, dense};
use flotilla_remote::openai;

pub use handler::EmbedHandler;
pub use payload::{Payload, Text};

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("knowledge", run)
}

/// Runs until the context's stop, then drains.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        let client = openai::Client::new(&context.settings.section("openai")?);
        let client = client.context("section [openai]")?;
        let embedder = Embedder::new(&config, client.as_ref()).context("section [knowledge]")?;
        let chroma = context.settings.section("chromadb")?;
        let vectors = dense::Store::new(&chroma, embedder.id().as_deref());
        let vectors = vectors.context("section [chromadb]")?;
        if let Some(embedder) = embedder.id() {
            let broker = context.broker("embedding-start").await?;
            let announcing = async move {
                if let Err(error) = change::announce(&broker, &embedder).await {
                    tracing::warn!(%error, "documents of other embedders stay as they are for now");
                }
                broker.close().await;
            };
            // Documents can be embedded meanwhile.
            tokio::spawn(announcing);
        }
        serve(context, EmbedHandler::new(embedder, vectors)).await
    })
}
