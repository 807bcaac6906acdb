//! `just bench`: figures of the fleet beside those of a bare JetStream pipeline on the same
//! server in the same run, and beside their goals. BENCHMARKS.md says how they are measured.

mod bench;
mod embeddings;
mod find;
mod fleet;
mod footprint;
mod gateway;
mod get;
mod growth;
mod http;
mod latency;
mod million;
mod options;
mod pool;
mod priority;
mod process;
mod program;
mod query;
mod raw;
mod report;
mod rounds;
mod sections;
mod sink;
mod start;
mod sync;
mod throughput;
mod tracing;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use bench::{Bench, Machine};
use options::Options;
use report::Report;
use sections::Section;

#[derive(Serialize)]
struct Measured {
    machine: Machine,
    is_quick: bool,
    #[serde(flatten)]
    report: Report,
}

#[global_allocator]
static ALLOCATOR: flotilla_common::Allocator = flotilla_common::Allocator;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(sink::ARGUMENT) {
        sink::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse();
    if let Some(options::Command::Worker(worker)) = options.command {
        worker::run(worker).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Bench::new(&options);
    let machine = Machine::look()?;
    let mut report = Report::default();
    if !options.json {
        println!("{machine}\n{}", report::head());
    }
    let mut is_whole = true;
    for section in options.sections() {
        is_whole &= measure(section, &bench, &mut report).await;
        if !options.json {
            println!("{}", report.part(section.name()));
        }
    }
    if options.json {
        let measured = Measured {
            machine,
            is_quick: options.quick,
            report,
        };
        println!("{}", serde_json::to_string_pretty(&measured)?);
    }
    Ok(match is_whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Whether it came to its end. One that fails is told, and the others are measured all the same.
async fn measure(section: Section, bench: &Bench, report: &mut Report) -> bool {
    report.begin(section.name());
    if section.needs_model() && embeddings::directory().is_err() {
        report.note("left out: there is no model; `just model` fetches it");
        return true;
    }
    eprintln!("measuring {} …", section.name());
    let measuring = section.measure(bench, report);
    let time_max = section.time_max(bench);
    let failure = match tokio::time::timeout(time_max, measuring).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("given up after {time_max:?}"),
    };
    eprintln!("{} failed: {failure}", section.name());
    report.note(format!("failed: {failure}"));
    false
}
