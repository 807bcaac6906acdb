//! From exec to ready, of each service and of the fleet in one process; and, where asked for, how
//! long everything takes to compile from nothing.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use flotilla_tests::Nats;

use crate::bench::Bench;
use crate::program::{Program, SERVICES, free_port};
use crate::report::{Report, figure, median};

/// Seconds.
const SERVICE_GOAL: f64 = 1.0;
const FLEET_GOAL: f64 = 2.0;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = Nats::start().await;
    let first = started(Program::service("gateway", &server.url(), &[])?).await?;
    let name = "gateway, making all streams";
    report.add(figure(name, "s", first).at_most(SERVICE_GOAL));
    for service in SERVICES {
        let mut times = Vec::new();
        for _ in 0..bench.scale.rounds {
            times.push(started(Program::service(service, &server.url(), &[])?).await?);
        }
        report.add(figure(service, "s", median(times)).at_most(SERVICE_GOAL));
    }
    let data = tempfile::tempdir()?;
    let up = || Program::start("flotilla", &["up".to_owned()], &one_process(data.path()));
    let first = started(up()?).await?;
    let name = "the fleet in one process and its nats-server";
    report.add(figure(format!("{name}, first time"), "s", first).at_most(FLEET_GOAL));
    let mut times = Vec::new();
    for _ in 0..bench.scale.rounds {
        times.push(started(up()?).await?);
    }
    report.add(figure(format!("{name}, again"), "s", median(times)).at_most(FLEET_GOAL));
    if bench.builds_from_nothing {
        report.add(figure(
            "a build of all programs from nothing",
            "s",
            build()?,
        ));
    }
    Ok(())
}

async fn started(mut program: Program) -> anyhow::Result<f64> {
    Ok(program.ready().await?.as_secs_f64())
}

fn one_process(data: &std::path::Path) -> [String; 3] {
    [
        format!("embedded.data_dir={}", data.display()),
        format!("embedded.port={}", free_port()),
        format!("gateway.listen=127.0.0.1:{}", free_port()),
    ]
}

/// In a directory of its own; the sources of dependencies are there already.
fn build() -> anyhow::Result<f64> {
    let target = tempfile::tempdir()?;
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--locked", "--bins"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env("CARGO_TARGET_DIR", target.path())
        .stdin(Stdio::null())
        // Standard output is for the figures.
        .stdout(Stdio::null());
    let began = Instant::now();
    let built = command.status().context("running cargo")?;
    ensure!(built.success(), "cargo did not build the programs");
    Ok(began.elapsed().as_secs_f64())
}
