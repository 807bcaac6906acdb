//! What can be measured, each section a file of its own.

use std::time::Duration;

use clap::ValueEnum;

use crate::bench::Bench;
use crate::report::Report;
use crate::{embeddings, find, latency, query, throughput, tracing};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Tasks a second with a handler that does nothing, against raw JetStream
    Throughput,
    /// From submitting a task to its outcome, against raw JetStream
    Latency,
    /// Every task traced, against none; and traces that are off
    Tracing,
    /// Tasks found among a million finished ones
    Find,
    /// The local embedding model: at full load, and questions meanwhile
    Embeddings,
    /// Answers out of 100,000 chunks while documents are embedded at full load
    Query,
}

impl Section {
    /// What is measured where nothing is named.
    pub(crate) const CORE: [Self; 2] = [Self::Throughput, Self::Latency];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Tracing => "tracing",
            Self::Find => "find",
            Self::Embeddings => "embeddings",
            Self::Query => "query",
        }
    }

    /// On a slow machine too; a section that takes longer hangs, and is given up.
    pub(crate) fn time_max(self) -> Duration {
        Duration::from_secs(match self {
            Self::Latency => 120,
            Self::Throughput | Self::Tracing | Self::Embeddings => 300,
            Self::Find | Self::Query => 600,
        })
    }

    pub(crate) async fn measure(self, bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::Throughput => Box::pin(throughput::measure(bench, report)).await,
            Self::Latency => Box::pin(latency::measure(bench, report)).await,
            Self::Tracing => Box::pin(tracing::measure(bench, report)).await,
            Self::Find => Box::pin(find::measure(bench, report)).await,
            Self::Embeddings => Box::pin(embeddings::measure(bench, report)).await,
            Self::Query => Box::pin(query::measure(bench, report)).await,
        }
    }
}
