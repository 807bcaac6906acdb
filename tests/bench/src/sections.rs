//! What can be measured, each section a file of its own.

use std::time::Duration;

use clap::ValueEnum;

use crate::bench::Bench;
use crate::report::Report;
use crate::{
    embeddings, find, footprint, gateway, growth, latency, million, pool, priority, query, start,
    sync, throughput, tracing,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Tasks a second with a handler that does nothing, against raw JetStream
    Throughput,
    /// From submitting a task to its outcome, against raw JetStream
    Latency,
    /// The same two through a gateway: tasks one by one, many in a request, and waited for
    Gateway,
    /// A critical task's wait behind 100,000 bulk ones, against an idle worker
    Priority,
    /// Sleeping tasks, as the old pool was measured, against the ideal
    Pool,
    /// From exec to ready; `--build` adds a build from nothing
    Start,
    /// Processor time and memory of an idle fleet, and the size of its programs
    Footprint,
    /// A million waiting tasks, against a thousand
    Million,
    /// Every write brought to the disk, on one server and on three
    Sync,
    /// More worker processes, and more categories at once
    Growth,
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
    pub(crate) const CORE: [Self; 7] = [
        Self::Throughput,
        Self::Latency,
        Self::Gateway,
        Self::Priority,
        Self::Pool,
        Self::Start,
        Self::Footprint,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Gateway => "gateway",
            Self::Priority => "priority",
            Self::Pool => "pool",
            Self::Start => "start",
            Self::Footprint => "footprint",
            Self::Million => "million",
            Self::Sync => "sync",
            Self::Growth => "growth",
            Self::Tracing => "tracing",
            Self::Find => "find",
            Self::Embeddings => "embeddings",
            Self::Query => "query",
        }
    }

    pub(crate) fn needs_model(self) -> bool {
        matches!(self, Self::Embeddings | Self::Query)
    }

    /// On a slow machine too; a section that takes longer hangs, and is given up.
    pub(crate) fn time_max(self, bench: &Bench) -> Duration {
        Duration::from_secs(match self {
            // A build from nothing takes as long as it takes.
            Self::Start if bench.builds_from_nothing => 3_600,
            Self::Latency | Self::Pool | Self::Start | Self::Footprint => 180,
            Self::Tracing | Self::Embeddings | Self::Priority => 300,
            Self::Throughput | Self::Gateway => 900,
            Self::Find | Self::Query | Self::Million | Self::Sync | Self::Growth => 600,
        })
    }

    pub(crate) async fn measure(self, bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::Throughput => Box::pin(throughput::measure(bench, report)).await,
            Self::Latency => Box::pin(latency::measure(bench, report)).await,
            Self::Gateway => Box::pin(gateway::measure(bench, report)).await,
            Self::Priority => Box::pin(priority::measure(bench, report)).await,
            Self::Pool => Box::pin(pool::measure(bench, report)).await,
            Self::Start => Box::pin(start::measure(bench, report)).await,
            Self::Footprint => Box::pin(footprint::measure(bench, report)).await,
            Self::Million => Box::pin(million::measure(bench, report)).await,
            Self::Sync => Box::pin(sync::measure(bench, report)).await,
            Self::Growth => Box::pin(growth::measure(bench, report)).await,
            Self::Tracing => Box::pin(tracing::measure(bench, report)).await,
            Self::Find => Box::pin(find::measure(bench, report)).await,
            Self::Embeddings => Box::pin(embeddings::measure(bench, report)).await,
            Self::Query => Box::pin(query::measure(bench, report)).await,
        }
    }
}
