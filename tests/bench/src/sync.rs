//! With every write brought to the disk before it is acknowledged: one server, and three that keep
//! a copy each; against raw JetStream on the same servers.

use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_tests::{Cluster, Nats};

use crate::bench::Bench;
use crate::fleet::Setup;
use crate::process::Usage;
use crate::report::{Report, figure, median};
use crate::rounds::{Cpu, Rounds, Watch};
use crate::throughput::{fleet_round, raw_round};

const SLOTS: usize = 256;
/// The disk is slow: fewer tasks tell as much.
const TASKS_PART: usize = 5;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = Nats::start_syncing(Vec::new()).await;
    let server = Servers {
        name: "one server",
        replicas: 1,
        url: server.url(),
        all: vec![server],
    };
    server.compare(bench, report).await?;
    drop(server);
    let cluster = Cluster::start_syncing().await;
    let servers = Servers {
        name: "three servers, R3",
        replicas: 3,
        url: cluster.url(),
        all: cluster.servers,
    };
    servers.compare(bench, report).await
}

struct Servers {
    name: &'static str,
    replicas: usize,
    url: String,
    all: Vec<Nats>,
}

impl Servers {
    async fn compare(&self, bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
        let tasks = bench.scale.tasks / TASKS_PART;
        let (url, replicas) = (&self.url, self.replicas);
        let setup = Setup {
            streams: StreamLimits {
                replicas,
                ..StreamLimits::default()
            },
            ..Setup::new(url, SLOTS)
        };
        let cpu = || {
            Some(Cpu {
                server: self.cpu(),
                ..Cpu::default()
            })
        };
        let watch = Watch { tasks, cpu: &cpu };
        let (mut fleet, mut raw) = <(Rounds, Rounds)>::default();
        for _ in 0..bench.scale.rounds {
            raw.add(raw_round(url, replicas, SLOTS, watch).await?);
            fleet.add(Box::pin(fleet_round(&setup, watch)).await?);
        }
        let name = format!("{}, {SLOTS} slots", self.name);
        let rate = figure(&name, "tasks/s", median(fleet.rates));
        report.add(rate.by("raw", median(raw.rates)).at_least(1.0));
        let cpu = figure(
            format!("{name}, servers, a task"),
            "µs",
            median(fleet.servers),
        );
        report.add(cpu.by("raw", median(raw.servers)));
        Ok(())
    }

    /// Zero where the system does not tell.
    fn cpu(&self) -> Duration {
        let pids = self.all.iter().filter_map(Nats::pid);
        let usages = pids.filter_map(Usage::of);
        usages.map(|usage| usage.cpu).sum()
    }
}
