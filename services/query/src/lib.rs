//! The query category: answers questions out of the indexed documents, with the sentences that
//! say so. Each process keeps the whole index in memory and follows what is stored.

mod compose;
mod generate;
mod handler;
mod index_calls;
mod meaning;
mod payload;
mod tokens;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_common::model::Category;
use flotilla_common::service::{self, Context, Running, StartError, serve};
use flotilla_knowledge::{Config, Embedder, Kind, Live, dense};
use flotilla_remote::openai;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::generate::Writer;
use crate::handler::QueryHandler;

pub use payload::{Mode, Payload};

/// The program: this service as a process of its own.
pub fn main() -> ExitCode {
    service::main("knowledge", run)
}

/// Runs until the context's stop, then drains. Takes no task before it knows all documents.
pub fn run(context: Context, config: Config) -> Running {
    Box::pin(async move {
        config.validate().map_err(StartError::Invalid)?;
        let openai: openai::Config = context.settings.section("openai")?;
        check_time(&openai, context.worker()?.timeout(Category::Query))?;
        let client = openai::Client::new(&openai).context("section [openai]")?;
        let embedder = Embedder::new(&config, client.as_ref()).context("section [knowledge]")?;
        let writer = Writer::new(client.as_ref());
        let chroma = context.settings.section("chromadb")?;
        let vectors = dense::Store::new(&chroma, embedder.id().as_deref());
        let vectors = vectors.context("section [chromadb]")?;
        let broker = context.broker("query-index").await?;
        let kind = Kind {
            embedder: embedder.id(),
            vectors: vectors.vectors(),
        };
        let index = Arc::new(Live::start(broker.clone(), kind, config.snapshots()));
        tokio::select! {
            () = index.current() => {}
            () = context.stop.cancelled() => return Ok(()),
        }
        let calls = index_calls::answer(&broker, Arc::clone(&index)).await?;
        let _answering = AbortOnDropHandle::new(tokio::spawn(calls));
        let handler = QueryHandler::new(embedder, vectors, Arc::clone(&index), writer);
        let (stop, grace) = (context.stop.clone(), context.worker()?.drain_grace);
        let mut serving = pin!(serve(context, handler));
        tokio::select! {
            served = &mut serving => return served,
            () = stop.cancelled() => {}
        }
        // While the last questions are answered: a large index takes its time, and no more than they may.
        let (served, saved) = tokio::join!(serving, timeout(grace, index.save()));
        if saved.is_err() {
            tracing::warn!("the index is not written down; the next start reads more documents");
        }
        served
    })
}

/// An answer without the model has to be possible after the model's time is up.
fn check_time(openai: &openai::Config, timeout: Duration) -> anyhow::Result<()> {
    anyhow::ensure!(
        openai.answer_timeout < timeout,
        "openai.answer_timeout must be shorter than worker.timeout.query, which is {timeout:?}"
    );
    Ok(())
}
