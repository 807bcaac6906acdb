//! The same as `throughput` and `latency`, through a gateway of its own: tasks one by one, many in a request, and
//! one that is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::future::try_join_all;

use crate::bench::{Bench, Server};
use crate::fleet::{Results, Setup};
use crate::http::Connection;
use crate::program::{Program, free_port};
use crate::raw;
use crate::report::{Report, figure, median, quantile};
use crate::rounds::{Cpu, Round, Rounds, Watch};
use crate::throughput::raw_round;

const SLOTS: usize = 256;
/// Clients that have one task under way each.
const SINGLE: Load = Load {
    name: "one by one",
    connections: 256,
    path: "/api/hp/query?wait=0",
    tasks: 1,
    goal: 0.5,
};
/// Clients that have so many under way each.
const BULK: Load = Load {
    name: "many in a request",
    connections: 4,
    path: "/api/hp/tasks/bulk?category=query",
    tasks: 500,
    goal: 0.9,
};
const TASK: &str = r#"{"query":"How do I reset the device to its factory settings?","brand":"acme","priority":"NORMAL"}"#;
/// The first ones pay for what is set up lazily.
const WARM_UP: usize = 50;

struct Load {
    name: &'static str,
    connections: usize,
    path: &'static str,
    /// In a request.
    tasks: usize,
    /// Of what raw JetStream reaches.
    goal: f64,
}

struct Gateway {
    program: Program,
    address: String,
}

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = bench.server().await;
    let gateway = Gateway::start(&server).await?;
    let cpu = || {
        gateway.program.usage().map(|usage| Cpu {
            programs: usage.cpu,
            ..Cpu::default()
        })
    };
    let watch = Watch {
        tasks: bench.scale.sustained,
        cpu: &cpu,
    };
    let setup = Setup::new(server.url(), SLOTS);
    let loads = [SINGLE, BULK];
    let (mut raw, mut through) = (Rounds::default(), [Rounds::default(), Rounds::default()]);
    for _ in 0..bench.scale.rounds {
        raw.add(raw_round(&server.url(), 1, SLOTS, watch).await?);
        for (load, rounds) in loads.iter().zip(&mut through) {
            rounds.add(Box::pin(gateway.round(load, &setup, watch)).await?);
        }
    }
    let raw = median(raw.rates);
    for (load, rounds) in loads.iter().zip(through) {
        let rate = figure(load.name, "tasks/s", median(rounds.rates));
        report.add(rate.by("raw", raw).at_least(load.goal));
        if !rounds.programs.is_empty() {
            let name = format!("{}, the gateway's time of a task", load.name);
            report.add(figure(name, "µs", median(rounds.programs)));
        }
    }
    latency(bench, &server, &gateway, report).await
}

async fn latency(
    bench: &Bench,
    server: &Server,
    gateway: &Gateway,
    report: &mut Report,
) -> anyhow::Result<()> {
    let pipeline = raw::Pipeline::new(&server.url(), 1).await?;
    let working = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.work(usize::MAX, SLOTS).await }
    });
    let worker = Setup::new(server.url(), SLOTS).worker().await?;
    let mut connection = Connection::open(&gateway.address).await?;
    let payload = Bytes::from_static(TASK.as_bytes());
    let (mut raw, mut through) = (Vec::new(), Vec::new());
    // In turn, so that noise hits both alike.
    for n in 0..bench.scale.round_trips + WARM_UP {
        let raw_trip = pipeline.round_trip(n, &payload).await?;
        let began = Instant::now();
        let answer = connection.send("/api/hp/query?wait=30s", TASK).await?;
        let trip = began.elapsed();
        let answer = String::from_utf8_lossy(answer);
        anyhow::ensure!(answer.contains(r#""status":"completed""#), "{answer}");
        if n >= WARM_UP {
            raw.push(raw_trip.as_secs_f64() * 1e3);
            through.push(trip.as_secs_f64() * 1e3);
        }
    }
    working.abort();
    worker.stop().await?;
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("?wait, from the request to the outcome, {name}");
        let trip = figure(name, "ms", quantile(&mut through, q));
        let trip = trip.by("raw", quantile(&mut raw, q));
        report.add(if q == 0.5 { trip.at_most(2.0) } else { trip });
    }
    Ok(())
}

impl Gateway {
    async fn start(server: &Server) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", free_port());
        let settings = [format!("gateway.listen={address}")];
        let mut program = Program::service("gateway", &server.url(), &settings)?;
        program.ready().await?;
        Ok(Self { program, address })
    }

    /// From the first request to the last stored outcome.
    async fn round(&self, load: &Load, setup: &Setup, watch: Watch<'_>) -> anyhow::Result<Round> {
        let mut results = Results::emptied(&setup.url).await?;
        let worker = setup.worker().await?;
        let opening = (0..load.connections).map(|_| Connection::open(&self.address));
        let connections = try_join_all(opening).await?;
        let work = async {
            load.send(connections, watch.tasks).await?;
            results.wait_for(watch.tasks).await
        };
        let round = watch.time(work).await?;
        worker.stop().await?;
        Ok(round)
    }
}

impl Load {
    /// So many tasks, a request of each connection at a time.
    async fn send(&self, connections: Vec<Connection>, tasks: usize) -> anyhow::Result<()> {
        let left = Arc::new(AtomicUsize::new(tasks / self.tasks));
        let body: Arc<str> = self.body().into();
        let (path, confirmed) = (self.path, self.confirmed());
        let sending = connections.into_iter().map(|mut connection| {
            let (left, body, confirmed) = (left.clone(), body.clone(), confirmed.clone());
            tokio::spawn(async move {
                let take = |left: usize| left.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    let answer = connection.send(path, &body).await?;
                    let head = String::from_utf8_lossy(&answer[..answer.len().min(64)]);
                    anyhow::ensure!(head.contains(&confirmed), "{head}");
                }
                anyhow::Ok(())
            })
        });
        for sent in try_join_all(sending.collect::<Vec<_>>()).await? {
            sent?;
        }
        Ok(())
    }

    fn body(&self) -> String {
        match self.tasks {
            1 => TASK.to_owned(),
            many => format!(r#"{{"tasks":[{}]}}"#, vec![TASK; many].join(",")),
        }
    }

    /// How a good answer begins.
    fn confirmed(&self) -> String {
        match self.tasks {
            1 => r#"{"task_id":"#.to_owned(),
            many => format!(r#"{{"accepted":{many},"refused":0,"#),
        }
    }
}
