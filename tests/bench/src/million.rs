//! A million tasks that wait, against a thousand: the throughput of work on them while as many come
//! as go, the way of a critical task past them, and the memory of every process.

use std::time::Instant;

use bytes::Bytes;
use flotilla_common::broker::Broker;
use flotilla_common::model::Priority;

use crate::bench::{Bench, Server};
use crate::fleet::{Results, Setup};
use crate::latency::round_trip;
use crate::process::Usage;
use crate::program::Program;
use crate::report::{Report, figure, quantile};
use crate::worker::WorkerProcess;

static PAYLOAD: Bytes = Bytes::from_static(
    br#"{"query":"How do I reset the device to its factory settings?","brand":"acme"}"#,
);
const SLOTS: usize = 256;
const FEW: usize = 1_000;
/// Submitted at once, before somebody looks how much is done.
const CHUNK: usize = 500;
/// Submitted and not done, beside what waits all the time.
const AHEAD: usize = 2_000;
const MB: f64 = 1e6;

struct Found {
    rate: f64,
    trips: Vec<f64>,
    /// Of each process, in megabytes.
    memory: Vec<(&'static str, f64)>,
}

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let many = if bench.is_quick { 20_000 } else { 1_000_000 };
    let server = bench.server().await;
    let setup = Setup::new(server.url(), SLOTS);
    let broker = setup.broker().await?;
    setup.pause(&broker, &[Priority::Bulk]).await?;
    let mut services = Vec::new();
    for name in ["gateway", "stats"] {
        let mut program = Program::service(name, &server.url(), &[])?;
        program.ready().await?;
        services.push((name, program));
    }
    let worker = WorkerProcess::start(&setup).await?;
    let fleet = Fleet {
        bench,
        server: &server,
        setup: &setup,
        broker: &broker,
        services: &services,
        worker: &worker,
    };
    let mut few = fleet.with_waiting(FEW).await?;
    let mut many_found = fleet.with_waiting(many - FEW).await?;
    let rate = figure(
        format!("throughput, {many} waiting"),
        "tasks/s",
        many_found.rate,
    );
    report.add(rate.by("1000 waiting", few.rate).at_least(0.9));
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("a critical task past {many} waiting, {name}");
        let trip = figure(name, "ms", quantile(&mut many_found.trips, q));
        report.add(
            trip.by("1000 waiting", quantile(&mut few.trips, q))
                .at_most(1.1),
        );
    }
    for ((name, few), (_, many)) in few.memory.into_iter().zip(many_found.memory) {
        let memory = figure(format!("memory, {name}"), "MB", many);
        report.add(memory.by("1000 waiting", few));
    }
    Ok(())
}

struct Fleet<'a> {
    bench: &'a Bench,
    server: &'a Server,
    setup: &'a Setup,
    broker: &'a Broker,
    services: &'a [(&'static str, Program)],
    worker: &'a WorkerProcess,
}

impl Fleet<'_> {
    /// With so many more waiting than before.
    async fn with_waiting(&self, more: usize) -> anyhow::Result<Found> {
        let Self { setup, broker, .. } = *self;
        setup.submit(broker, Priority::Bulk, &PAYLOAD, more).await?;
        let mut trips = Vec::new();
        for _ in 0..self.bench.scale.round_trips {
            let trip = round_trip(broker, setup, Priority::Critical).await?;
            trips.push(trip.as_secs_f64() * 1e3);
        }
        let mut rates = Vec::new();
        setup.pause(broker, &[]).await?;
        for _ in 0..self.bench.scale.rounds {
            rates.push(self.keep_working().await?);
        }
        setup.pause(broker, &[Priority::Bulk]).await?;
        Ok(Found {
            rate: crate::report::median(rates),
            trips,
            memory: self.memory(),
        })
    }

    /// As many are submitted as are done.
    async fn keep_working(&self) -> anyhow::Result<f64> {
        let mut results = Results::emptied(&self.setup.url).await?;
        let tasks = self.bench.scale.tasks;
        let began = Instant::now();
        for submitted in (CHUNK..=tasks).step_by(CHUNK) {
            self.setup
                .submit(self.broker, Priority::Bulk, &PAYLOAD, CHUNK)
                .await?;
            results.wait_for(submitted.saturating_sub(AHEAD)).await?;
        }
        results.wait_for(tasks).await?;
        Ok(tasks as f64 / began.elapsed().as_secs_f64())
    }

    fn memory(&self) -> Vec<(&'static str, f64)> {
        let services = self.services.iter();
        let services = services.map(|(name, program)| (*name, program.usage()));
        let others = [
            ("a worker", self.worker.usage()),
            ("nats-server", self.server.usage()),
        ];
        let all = services.chain(others);
        all.filter_map(|(name, usage): (_, Option<Usage>)| {
            Some((name, usage?.resident_bytes as f64 / MB))
        })
        .collect()
    }
}
