//! Breakers are the fleet's: what opens anywhere is open everywhere, one probe goes through, and
//! tasks that need what is out of order wait at no cost.

use std::time::Duration;

use flotilla_common::broker::{Broker, StreamLimits};
use flotilla_common::model::{BreakerState, Dependency};
use flotilla_tests::{Script, Scripted};
use futures::StreamExt;
use serde_json::Value;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Nats, Setup, Worker, body, broker, eventually, say, test};

const BROWSER: Dependency = Dependency::Playwright;

/// A task that calls the browser, and fails for good where that fails.
fn calling() -> Script {
    Script {
        call: Some(BROWSER),
        ..Script::default()
    }
}

/// The same, and it says so before it starts.
fn needing() -> Script {
    Script {
        needs: vec![BROWSER],
        ..calling()
    }
}

async fn worker(nats: &Nats, handler: &Scripted, open_for: &str) -> Worker {
    let mut setup = Setup::slots(4).breaker(BROWSER, open_for);
    setup.handler = handler.clone();
    setup.start(nats).await
}

async fn submit(client: &Client, script: &Script) -> String {
    let headers = [("Flotilla-Max-Retries", "0")];
    let ack = client
        .publish_with("tasks.query.normal", &headers, body(script))
        .await;
    format!("query_{}", ack.sequence)
}

/// Fails often enough to open the breaker.
async fn open(client: &Client, handler: &Scripted) {
    handler.break_dependency(true);
    for _ in 0..2 {
        let id = submit(client, &calling()).await;
        assert_eq!(client.outcome(&id).await["error"]["code"], "out_of_order");
    }
}

async fn state(broker: &Broker) -> BreakerState {
    let circuit = broker.circuit(BROWSER).await.unwrap();
    circuit.map_or(BreakerState::Closed, |circuit| circuit.value.state())
}

#[test]
fn what_needs_it_waits_and_the_others_run() {
    test(async |nats| {
        let handler = Scripted::default();
        let worker = worker(nats, &handler, "60s").await;
        let client = Client::connect(nats).await;
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        open(&client, &handler).await;

        let held = submit(&client, &needing()).await;
        let record = client.status(&held, "deferred").await;
        assert_eq!(record["reason"]["code"], "breaker_open");
        assert!(
            record.get("failed_attempts").is_none(),
            "no attempt was made"
        );
        // A publisher may say so, too.
        let headers = [("flotilla-needs", "openai, playwright")];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&say(1)))
            .await;
        client
            .status(&format!("query_{}", ack.sequence), "deferred")
            .await;
        // One that finds out when it calls waits as well.
        let finds_out = submit(&client, &calling()).await;
        client.status(&finds_out, "deferred").await;
        let other = submit(&client, &say(1)).await;
        assert_eq!(client.outcome(&other).await["status"], "completed");
        assert_eq!(worker.handler.runs_of(&held), 0);
        assert_eq!(handler.calls().len(), 2, "those that opened it");

        let view = fleet.get(&format!("/tasks/{held}")).await.body;
        assert_eq!(view["waiting"]["cause"], "breaker_open", "{view}");
        eventually("the breaker is shown as open", async || {
            let shown = fleet.get("/circuit-breakers").await.body;
            shown["circuit_breakers"]["playwright"]["state"] == "open"
        })
        .await;
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn what_opens_anywhere_is_open_everywhere() {
    test(async |nats| {
        let (here, there) = (Scripted::default(), Scripted::default());
        let first = worker(nats, &here, "60s").await;
        let client = Client::connect(nats).await;
        open(&client, &here).await;
        // A new process starts with the truth.
        first.stop().await;
        let second = worker(nats, &there, "60s").await;
        let held = submit(&client, &needing()).await;
        client.status(&held, "deferred").await;
        assert!(there.started().is_empty());
        second.stop().await;
    });
}

#[test]
fn one_that_lives_hears_of_it() {
    test(async |nats| {
        let limits = StreamLimits::default();
        let handler = Scripted::default();
        let worker = worker(nats, &handler, "60s").await;
        let (broker, client) = (broker(nats, &limits).await, Client::connect(nats).await);
        open(&client, &handler).await;
        eventually("it is open", async || {
            state(&broker).await == BreakerState::Open
        })
        .await;
        // Somebody else closes it.
        let open = broker.circuit(BROWSER).await.unwrap().unwrap();
        let mut closed = open.value.clone();
        closed.stage = flotilla_common::model::CircuitStage::Closed;
        handler.break_dependency(false);
        broker.set_circuit(&closed, open.revision).await.unwrap();
        let mut tries = 0;
        eventually("the worker has heard", async || {
            tries += 1;
            let id = submit(&client, &needing()).await;
            eventually("it is recorded", async || {
                client.record(&id).await.is_some()
            })
            .await;
            client.record(&id).await.unwrap()["status"] == "completed"
        })
        .await;
        println!("heard of after {tries} tasks");
        worker.stop().await;
    });
}

#[test]
fn one_probe_goes_through_in_the_whole_fleet() {
    test(async |nats| {
        let handler = Scripted::default();
        let mut workers = Vec::new();
        for _ in 0..3 {
            workers.push(worker(nats, &handler, "600ms").await);
        }
        let (broker, client) = (
            broker(nats, &StreamLimits::default()).await,
            Client::connect(nats).await,
        );
        // Each counts by itself: of four failures some worker has seen two.
        handler.break_dependency(true);
        for _ in 0..4 {
            submit(&client, &calling()).await;
        }
        eventually("it is open", async || {
            state(&broker).await != BreakerState::Closed
        })
        .await;
        let probing = Script {
            gate: Some("answer".to_owned()),
            ..needing()
        };
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(submit(&client, &probing).await);
        }
        // Of all that come back one is let through, and the others see it under way.
        let probes = || handler.calls().iter().filter(|id| ids.contains(id)).count();
        eventually("one probes", async || probes() == 1).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(probes(), 1);
        assert_eq!(state(&broker).await, BreakerState::HalfOpen);
        // It fails, and nobody else is let through before the time is up again.
        handler.open("answer");
        eventually("it is open again", async || {
            state(&broker).await == BreakerState::Open
        })
        .await;
        handler.break_dependency(false);
        eventually("it has closed", async || {
            state(&broker).await == BreakerState::Closed
        })
        .await;
        for id in &ids {
            client.outcome(id).await;
        }
        assert!(transitions_are_legal(&client).await);
        for worker in workers {
            worker.stop().await;
        }
    });
}

/// It was the breaker that had it run: an outage uses no task up, however long it lasts.
#[test]
fn a_failed_probe_costs_no_attempt() {
    test(async |nats| {
        let handler = Scripted::default();
        let worker = worker(nats, &handler, "200ms").await;
        let client = Client::connect(nats).await;
        open(&client, &handler).await;
        // One that says what it needs, and one that finds out when it calls; neither may retry.
        let waiting = [
            submit(&client, &needing()).await,
            submit(&client, &calling()).await,
        ];
        let probes = |id: &String| handler.calls().iter().filter(|call| *call == id).count();
        eventually("both have probed", async || {
            waiting.iter().all(|id| probes(id) >= 1)
                && waiting.iter().map(probes).sum::<usize>() >= 4
        })
        .await;
        handler.break_dependency(false);
        for id in &waiting {
            let record = client.outcome(id).await;
            assert_eq!(record["status"], "completed", "{record}");
            assert_eq!(record["attempt"], 1, "{record}");
            assert!(record.get("failed_attempts").is_none(), "{record}");
        }
        worker.stop().await;
    });
}

/// Every transition is an event with its cause.
async fn transitions_are_legal(client: &Client) -> bool {
    let stream = client.jetstream.get_stream("EVENTS").await.unwrap();
    let mut state = "closed".to_owned();
    let mut history = vec![];
    eventually("the last transition is told", async || {
        let count = stream.get_info().await.unwrap().state.messages;
        let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
        let messages = stream
            .create_consumer(config)
            .await
            .unwrap()
            .messages()
            .await
            .unwrap();
        let events: Vec<Value> = messages
            .take(count as usize)
            .map(|message| serde_json::from_slice(&message.unwrap().payload).unwrap())
            .collect()
            .await;
        history = events
            .into_iter()
            .filter(|event| event["event"] == "breaker")
            .collect();
        history.last().is_some_and(|last| last["to"] == "closed")
    })
    .await;
    for event in &history {
        let to = event["to"].as_str().unwrap().to_owned();
        let is_legal = matches!(
            (state.as_str(), to.as_str()),
            ("closed", "open") | ("open", "half_open") | ("half_open", _)
        );
        if !is_legal || event["cause"].as_str().unwrap().is_empty() {
            println!("{history:#?}");
            return false;
        }
        state = to;
    }
    history.len() >= 5
}

/// Whoever probes dies: its leave ends, and somebody else tries.
#[test]
fn a_lost_probe_blocks_nobody_for_ever() {
    test(async |nats| {
        let (here, there) = (Scripted::default(), Scripted::default());
        let first = worker(nats, &here, "300ms").await;
        let client = Client::connect(nats).await;
        open(&client, &here).await;
        let probing = Script {
            gate: Some("never".to_owned()),
            ..needing()
        };
        submit(&client, &probing).await;
        eventually("it probes", async || here.calls().len() == 3).await;
        first.stop_at_once().await;
        let second = worker(nats, &there, "300ms").await;
        let id = submit(&client, &needing()).await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        second.stop().await;
    });
}

/// Without the broker each process goes by its own judgement, and tells it afterwards.
#[test]
fn a_lost_broker_leaves_each_with_its_own_judgement() {
    test(async |nats| {
        let handler = Scripted::default();
        let worker = worker(nats, &handler, "60s").await;
        let client = Client::connect(nats).await;
        let broker = broker(nats, &StreamLimits::default()).await;
        handler.break_dependency(true);
        let waiting = Script {
            gate: Some("go".to_owned()),
            ..calling()
        };
        for _ in 0..2 {
            submit(&client, &waiting).await;
        }
        eventually("both have begun", async || handler.calls().len() == 2).await;
        nats.kill();
        handler.open("go");
        tokio::time::sleep(Duration::from_millis(300)).await;
        nats.restart().await;
        eventually("the fleet knows", async || {
            let known = broker.circuit(BROWSER).await;
            matches!(known, Ok(Some(circuit)) if circuit.value.state() == BreakerState::Open)
        })
        .await;
        worker.stop().await;
    });
}

/// What an operator says goes for the whole fleet, until an operator says otherwise.
#[test]
fn operators_hold_breakers_open_and_reset_them() {
    test(async |nats| {
        let handler = Scripted::default();
        let worker = worker(nats, &handler, "300ms").await;
        let client = Client::connect(nats).await;
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let order = async |path: &str, body: &str| {
            fleet.post(&format!("/circuit-breakers/{path}"), body).await
        };
        let held = order("playwright/open", r#"{"cause":"being repaired"}"#).await;
        assert_eq!((held.status, &held.body["state"]), (200, &"open".into()));
        assert_eq!(held.body["forced"], true);
        assert_eq!(
            held.body["cause"],
            "held open by an operator: being repaired"
        );
        // Twice is once.
        assert_eq!(order("playwright/open", "").await.body, held.body);

        // It is obeyed, and no time lets a probe through.
        let waiting = submit(&client, &needing()).await;
        let record = client.status(&waiting, "deferred").await;
        assert_eq!(record["reason"]["code"], "breaker_open");
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(handler.calls().is_empty());
        let told = fleet.get("/circuit-breakers").await.body;
        assert_eq!(told["circuit_breakers"]["playwright"], held.body);
        eventually("health has heard", async || {
            fleet.get("/health").await.body["circuit_breakers"]["playwright"] == "open"
        })
        .await;

        let reset = order("playwright/reset", "").await;
        assert_eq!(reset.body["state"], "closed");
        assert_eq!(client.outcome(&waiting).await["status"], "completed");

        // One that has opened by itself is closed as well.
        open(&client, &handler).await;
        eventually("it is open", async || {
            fleet.get("/circuit-breakers").await.body["circuit_breakers"]["playwright"]["state"]
                != "closed"
        })
        .await;
        handler.break_dependency(false);
        assert_eq!(order("playwright/reset", "").await.body["failures"], 0);
        let next = submit(&client, &needing()).await;
        assert_eq!(client.outcome(&next).await["status"], "completed");

        assert_eq!(order("redis/open", "").await.body["field"], "name");
        assert_eq!(
            order("openai/open", r#"{"why":1}"#).await.body["field"],
            "why"
        );
        worker.stop().await;
        fleet.stop().await;
    });
}
