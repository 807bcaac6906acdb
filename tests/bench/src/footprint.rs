//! What a fleet takes that has nothing to do: processor time and memory of every service, each a
//! process of its own without a model; and how large the programs are.

use std::fs;
use std::time::{Duration, Instant};

use flotilla_tests::Nats;

use crate::bench::Bench;
use crate::process::Usage;
use crate::program::{Program, SERVICES, path};
use crate::report::{Report, figure};

/// Percent of one core.
const IDLE_GOAL: f64 = 1.0;
const MEMORY_GOAL_MB: f64 = 20.0;
const MB: f64 = 1e6;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = Nats::start().await;
    let mut programs = Vec::new();
    for service in SERVICES {
        programs.push(Program::service(service, &server.url(), &[])?);
        // One after the other, as the first one makes the streams.
        if let Some(program) = programs.last_mut() {
            program.ready().await?;
        }
    }
    let (settle, watch) = match bench.is_quick {
        true => (Duration::from_millis(500), Duration::from_secs(2)),
        false => (Duration::from_secs(5), Duration::from_secs(30)),
    };
    tokio::time::sleep(settle).await;
    let usage = || {
        let services: Option<Vec<Usage>> = programs.iter().map(Program::usage).collect();
        services.zip(Usage::of(server.pid()?))
    };
    let began = Instant::now();
    let before = usage();
    tokio::time::sleep(watch).await;
    let Some(((before, server_before), (after, server_after))) = before.zip(usage()) else {
        report.note("processor time and memory of processes are read on Linux only");
        return Ok(());
    };
    let percent = |before: Duration, after: Duration| {
        (after - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0
    };
    let all = |usages: &[Usage]| usages.iter().map(|usage| usage.cpu).sum();
    let idle = percent(all(&before), all(&after));
    let name = format!("idle, all {} services", SERVICES.len());
    report.add(figure(name, "% of a core", idle).at_most(IDLE_GOAL));
    for ((service, before), after) in SERVICES.into_iter().zip(&before).zip(&after) {
        let idle = percent(before.cpu, after.cpu);
        report.add(figure(format!("idle, {service}"), "% of a core", idle));
    }
    let idle = percent(server_before.cpu, server_after.cpu);
    report.add(figure("idle, its nats-server", "% of a core", idle));
    for (service, usage) in SERVICES.into_iter().zip(&after) {
        let memory = usage.resident_bytes as f64 / MB;
        let name = format!("memory, {service}");
        report.add(figure(name, "MB", memory).at_most(MEMORY_GOAL_MB));
    }
    let memory = server_after.resident_bytes as f64 / MB;
    report.add(figure("memory, its nats-server", "MB", memory));
    sizes(report)
}

fn sizes(report: &mut Report) -> anyhow::Result<()> {
    let services = SERVICES.map(|service| format!("flotilla-{service}"));
    let all = ["flotilla", "flotilla-pdf"].map(str::to_owned);
    for program in all.into_iter().chain(services) {
        let bytes = fs::metadata(path(&program)?)?.len();
        report.add(figure(
            format!("program, {program}"),
            "MB",
            bytes as f64 / MB,
        ));
    }
    Ok(())
}
