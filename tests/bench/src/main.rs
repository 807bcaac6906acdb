//! `just bench`: figures of the fleet as ratios to a bare JetStream pipeline on the same
//! server in the same run. ARCHITECTURE.md says how it is measured.

mod embeddings;
mod find;
mod fleet;
mod latency;
mod query;
mod raw;
mod report;
mod throughput;
mod tracing;

use clap::{Parser, Subcommand};
use flotilla_tests::Nats;

use report::Report;

#[derive(Debug, Parser)]
#[command(name = "just bench", about)]
struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Fewer tasks: shows that it runs, not how fast
    #[arg(long, global = true)]
    quick: bool,
    /// Prints JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Measures on this server instead of one of its own; its fleet and streams must be idle
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The local embedding model: at full load, and questions meanwhile
    Embeddings,
    /// Tasks found among a million finished ones
    Find,
    /// Every task traced, against none; and traces that are off
    Tracing,
    /// Answers out of 100,000 chunks while documents are embedded at full load
    Query,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Each figure is the median of so many rounds, raw and fleet in turn.
    rounds: usize,
    tasks: usize,
    round_trips: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let scale = if options.quick {
        Scale {
            rounds: 1,
            tasks: 5_000,
            round_trips: 200,
        }
    } else {
        Scale {
            rounds: 5,
            tasks: 50_000,
            round_trips: 2_000,
        }
    };
    let mut report = Report::default();
    match options.what {
        Some(What::Embeddings) => {
            embeddings::measure(options.quick, &mut report).await?;
            return print(&report, options.json);
        }
        Some(What::Query) => {
            query::measure(options.quick, &mut report).await?;
            return print(&report, options.json);
        }
        Some(What::Find) => return find::measure(options.quick).await,
        Some(What::Tracing) | None => {}
    }
    let (_server, url) = match options.url {
        Some(url) => (None, url),
        None => {
            let server = Nats::start().await;
            let url = server.url();
            (Some(server), url)
        }
    };
    if matches!(options.what, Some(What::Tracing)) {
        tracing::measure(&url, scale, &mut report).await?;
        return print(&report, options.json);
    }
    throughput::measure(&url, scale, &mut report).await?;
    latency::measure(&url, scale, &mut report).await?;
    print(&report, options.json)
}

fn print(report: &Report, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
