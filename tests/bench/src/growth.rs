//! More worker processes of a category, and more categories at once: whether the total stays, and
//! what the server says of itself meanwhile.

use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use flotilla_common::model::{Category, NewTask, Priority};
use flotilla_tests::Nats;
use serde::Deserialize;

use crate::bench::Bench;
use crate::fleet::{Results, Setup};
use crate::get::get;
use crate::process::Usage;
use crate::program::free_port;
use crate::report::{Report, figure, median};
use crate::worker::WorkerProcess;

static PAYLOAD: Bytes = Bytes::from_static(
    br#"{"query":"How do I reset the device to its factory settings?","brand":"acme"}"#,
);
/// Of each process.
const SLOTS: usize = 64;
const PROCESSES: [usize; 4] = [1, 2, 4, 8];

/// A nats-server that tells of itself.
struct Server {
    nats: Nats,
    monitor: String,
}

/// Of one round.
struct Round {
    rate: f64,
    /// Cores that the server used.
    cores: f64,
    /// Of a task, at the server.
    cpu_us: f64,
    messages: f64,
    bytes: f64,
}

/// What `/varz` and `/jsz` tell, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    slow_consumers: u64,
    api: Api,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Api {
    errors: u64,
    inflight: u64,
}

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let port = free_port();
    let arguments = ["--http_port".to_owned(), port.to_string()];
    let server = Server {
        nats: Nats::start_with(arguments.to_vec()).await,
        monitor: format!("127.0.0.1:{port}"),
    };
    let processes = PROCESSES.map(|processes| {
        let setups = vec![Setup::new(server.nats.url(), SLOTS); processes];
        let name = match processes {
            1 => "1 worker process".to_owned(),
            n => format!("{n} worker processes"),
        };
        (name, setups)
    });
    server.compare(bench, processes, report).await?;
    let categories = (1..=Category::BUILT_IN.len()).map(|categories| {
        let setups = Category::BUILT_IN.iter().take(categories);
        let setups = setups.map(|category| Setup {
            category: *category,
            ..Setup::new(server.nats.url(), SLOTS)
        });
        let name = match categories {
            1 => "1 category".to_owned(),
            n => format!("{n} categories at once"),
        };
        (name, setups.collect())
    });
    server.compare(bench, categories, report).await?;
    let varz = server.told("/varz").await?;
    let api = server.told("/jsz").await?.api;
    report.add(
        figure(
            "slow consumers, in all",
            "connections",
            varz.slow_consumers as f64,
        )
        .at_most(0.0),
    );
    report.add(figure(
        "JetStream API requests waiting at the end",
        "requests",
        api.inflight as f64,
    ));
    report.note(format!("the server counts {} JetStream API errors, such as questions about streams that are not there yet", api.errors));
    Ok(())
}

fn add(name: &str, rounds: Vec<Round>, alone: &mut Option<f64>, report: &mut Report) {
    let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let total = middle(|round| round.rate);
    let rate = figure(format!("{name}, total"), "tasks/s", total);
    report.add(match *alone {
        None => rate,
        Some(alone) => rate.by("1", alone).at_least(1.0),
    });
    for (what, unit, value) in [
        ("server", "cores", middle(|round| round.cores)),
        ("server, a task", "µs", middle(|round| round.cpu_us)),
    ] {
        report.add(figure(format!("{name}, {what}"), unit, value));
    }
    if alone.is_none() {
        let (messages, bytes) = (middle(|round| round.messages), middle(|round| round.bytes));
        let name = "messages to and from the server, a task";
        report.add(figure(name, "messages", messages));
        report.add(figure("their size", "bytes", bytes));
    }
    alone.get_or_insert(total);
}

impl Server {
    /// Measures each, and compares it with the first.
    async fn compare(
        &self,
        bench: &Bench,
        cases: impl IntoIterator<Item = (String, Vec<Setup>)>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut alone = None;
        for (name, setups) in cases {
            add(
                &name,
                self.rounds(bench, &setups).await?,
                &mut alone,
                report,
            );
        }
        Ok(())
    }

    async fn rounds(&self, bench: &Bench, setups: &[Setup]) -> anyhow::Result<Vec<Round>> {
        let mut workers = Vec::new();
        for setup in setups {
            workers.push(WorkerProcess::start(setup).await?);
        }
        let mut rounds = Vec::new();
        for _ in 0..bench.scale.rounds {
            rounds.push(self.round(bench.scale.tasks, setups).await?);
        }
        for worker in workers {
            worker.stop().await?;
        }
        Ok(rounds)
    }

    async fn round(&self, tasks: usize, setups: &[Setup]) -> anyhow::Result<Round> {
        let publisher = setups.first().context("nobody works")?.broker().await?;
        let mut results = Results::emptied(&self.nats.url()).await?;
        // Of every category in turn.
        let each = setups.iter().cycle().take(tasks);
        let batch: Vec<NewTask> = each
            .map(|setup| setup.task(Priority::Normal, &PAYLOAD))
            .collect();
        let cpu = || Some(Usage::of(self.nats.pid()?)?.cpu);
        let (cpu_before, before) = (cpu(), self.told("/varz").await?);
        let began = Instant::now();
        for accepted in publisher.submit_all(&batch).await {
            accepted?;
        }
        results.wait_for(tasks).await?;
        let seconds = began.elapsed().as_secs_f64();
        let after = self.told("/varz").await?;
        let used = cpu_before.zip(cpu()).map(|(before, after)| after - before);
        let used = used.map_or(f64::NAN, |used| used.as_secs_f64());
        let a_task = |after: u64, before: u64| (after - before) as f64 / tasks as f64;
        Ok(Round {
            rate: tasks as f64 / seconds,
            cores: used / seconds,
            cpu_us: used * 1e6 / tasks as f64,
            messages: a_task(
                after.in_msgs + after.out_msgs,
                before.in_msgs + before.out_msgs,
            ),
            bytes: a_task(
                after.in_bytes + after.out_bytes,
                before.in_bytes + before.out_bytes,
            ),
        })
    }

    async fn told(&self, path: &str) -> anyhow::Result<Told> {
        let (status, body) = get(&self.monitor, path).await?;
        anyhow::ensure!(status == 200, "{path} is answered with {status}");
        Ok(serde_json::from_str(&body)?)
    }
}
