//! `flotilla doctor` against servers and fleets with each of the traps that it knows.

use std::time::Duration;

use flotilla_common::broker::{Broker, StreamLimits};
use flotilla_common::model::{Category, NewTask, Options, Priority};
use jiff::Timestamp;
use serde_json::Value;

use crate::harness::command_line::{Ran, run};
use crate::harness::fleet::{self, Fleet, free_port};
use crate::harness::{Client, Nats, broker, connect_to, test};

/// What it found, by the server's URL and more.
async fn examine(url: &str, more: &[&str]) -> Ran {
    let mut args = vec!["doctor", "--json", "--nats", url];
    // Nobody is meant by the default address.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    if !more.contains(&"--server") {
        args.extend(["--server", &nobody]);
    }
    args.extend(more);
    run(&args).await
}

/// Findings of one check.
fn of<'a>(report: &'a Value, check: &str) -> Vec<&'a Value> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["check"] == check)
        .collect()
}

#[track_caller]
fn finds<'a>(report: &'a Value, check: &str, severity: &str, words: &str) -> &'a Value {
    let found = of(report, check);
    let matches = |finding: &&Value| {
        finding["severity"] == severity && finding["message"].as_str().unwrap().contains(words)
    };
    let finding = found.into_iter().find(matches);
    let finding = finding.unwrap_or_else(|| panic!("{check} {severity} {words:?}: {report:#}"));
    if ["warning", "error"].contains(&severity) {
        let remedy = finding["remedy"].as_str();
        assert!(remedy.is_some_and(|remedy| !remedy.is_empty()), "{finding}");
    }
    finding
}

/// A server with a configuration of its own in the place of the tests' usual one.
async fn server(jetstream: &str, more: &str) -> (Nats, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (file, store) = (dir.path().join("own.conf"), dir.path().join("store"));
    let text = format!("jetstream {{\nstore_dir: {store:?}\n{jetstream}\n}}\n{more}\n");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let nats = Nats::start_with(vec!["--config".to_owned(), path]).await;
    (nats, dir)
}

#[test]
fn a_fleet_in_order_has_no_error() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let before = everything(nats).await;
        let server = format!("http://{}", fleet.address);
        let lease = ["--server", &server, "--set", "streams.ack_wait=2s"];
        let ran = examine(&nats.url(), &lease).await.ends_with(0);
        let report = ran.json();
        assert_eq!(report["errors"], 0, "{report:#}");
        finds(&report, "gateway", "ok", "healthy");
        finds(&report, "topology", "ok", "as this version wants");
        finds(&report, "permissions", "ok", "may do all");
        finds(&report, "clock", "ok", "agrees");
        finds(&report, "schedules", "ok", "nothing is overdue");
        finds(&report, "max_payload", "ok", "tasks of");
        finds(&report, "workers", "ok", "scraping: 1 of 1");
        finds(&report, "workers", "warning", "no worker of batch");
        finds(&report, "ack_wait", "warning", "2s");
        finds(&report, "fsync", "note", "could not be read");
        // It looks, and changes nothing.
        assert_eq!(everything(nats).await, before);
        // For people: a line each, and what to do.
        let mut args = vec!["doctor", "--nats"];
        let url = nats.url();
        args.push(&url);
        args.extend(lease);
        run(&args)
            .await
            .ends_with(0)
            .says("ok       topology")
            .says("→ ")
            .says("0 errors");
        fleet.stop().await;
    });
}

/// How many messages every stream of tasks and records has had.
async fn everything(nats: &Nats) -> Vec<u64> {
    let client = Client::connect(nats).await;
    let mut sequences = Vec::new();
    for stream in [
        "TASKS_QUERY",
        "TASKS_SCRAPING",
        "RESULTS",
        "DEAD",
        "CONTROL",
        "DOCUMENTS",
        "SCHED",
        "OBJ_flotilla",
    ] {
        sequences.push(client.state(stream).await.last_sequence);
    }
    sequences
}

#[test]
fn a_server_that_is_not_there_or_has_nothing() {
    test(async |nats| {
        let report = examine(&format!("nats://127.0.0.1:{}", free_port()), &[])
            .await
            .ends_with(1)
            .json();
        finds(&report, "broker", "error", "no nats-server answers");
        finds(&report, "gateway", "error", "no gateway answers");
        let report = examine(&nats.url(), &[]).await.ends_with(1).json();
        finds(&report, "topology", "error", "stream TASKS_QUERY");
        finds(&report, "stats", "error", "does not answer");
        let report = examine(&nats.url(), &["--set", "worker.slots.query=0"]).await;
        assert_eq!(report.code, 1, "{report:?}");
        finds(&report.json(), "settings", "error", "worker.slots.query");
    });
}

#[test]
fn streams_and_consumers_that_drifted() {
    test(async |nats| {
        let limits = StreamLimits::default();
        broker(nats, &limits).await;
        let client = Client::connect(nats).await;
        let mut stream = client.jetstream.get_stream("DEAD").await.unwrap();
        let mut config = stream.info().await.unwrap().config.clone();
        config.max_age = Duration::from_secs(3_600);
        client.jetstream.update_stream(config).await.unwrap();
        let queue = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        let mut consumer = queue.consumer_info("query_normal").await.unwrap().config;
        consumer.ack_wait = Duration::from_secs(4);
        queue.create_consumer(consumer).await.unwrap();
        queue.delete_consumer("query_bulk").await.unwrap();
        let thief = async_nats::jetstream::consumer::pull::Config {
            durable_name: Some("thief".to_owned()),
            filter_subject: "tasks.query.bulk".to_owned(),
            ..Default::default()
        };
        queue.create_consumer(thief).await.unwrap();

        let report = examine(&nats.url(), &[]).await.ends_with(1).json();
        finds(&report, "topology", "warning", "max_age is 3600s");
        finds(&report, "topology", "error", "consumer query_bulk");
        finds(&report, "ack_wait", "error", "consumer query_normal");
        finds(&report, "consumers", "error", "TASKS_QUERY > thief");
    });
}

#[test]
fn what_the_server_allows_and_how_it_writes() {
    test(async |_| {
        let monitor = free_port();
        let more = format!("http: \"127.0.0.1:{monitor}\", max_payload: 512KB");
        let (small, _dir) = server("max_file_store: 3GB", &more).await;
        broker(
            &small,
            &StreamLimits {
                results_bytes_max: 64 << 20,
                documents_bytes_max: 64 << 20,
                objects_bytes_max: 64 << 20,
                tasks_bytes_max: 64 << 20,
                ..StreamLimits::default()
            },
        )
        .await;
        let url = format!("http://127.0.0.1:{monitor}");
        let report = examine(&small.url(), &["--monitor", &url])
            .await
            .ends_with(1)
            .json();
        finds(&report, "max_payload", "error", "512.0 KiB");
        finds(&report, "fsync", "warning", "every 120s");
        finds(&report, "storage", "ok", "of 3.0 GiB");
        assert_eq!(of(&report, "disk").len(), 1, "its store is on this machine");

        let monitor = free_port();
        let more = format!("http: \"127.0.0.1:{monitor}\"");
        let (careful, _other) = server("max_file_store: 20GB, sync_interval: always", &more).await;
        let url = format!("http://127.0.0.1:{monitor}");
        let report = examine(&careful.url(), &["--monitor", &url]).await.json();
        finds(&report, "fsync", "ok", "power cut");
    });
}

#[test]
fn permissions_that_are_missing() {
    test(async |_| {
        let (guarded, _dir) = server(
            "max_file_store: 20GB",
            r#"authorization { users = [
                { user: whole, password: whole }
                { user: part, password: part, permissions: {
                    publish: { deny: ["tasks.query.>", "$JS.API.STREAM.PURGE.SCHED"] }
                    subscribe: { deny: ["fleet.workers.batch"] } } } ] }"#,
        )
        .await;
        let url = |user: &str| format!("nats://{user}:{user}@127.0.0.1:{}", guarded.port());
        let whole = connect_to(&url("whole")).await;
        whole
            .ensure_topology(&StreamLimits::default())
            .await
            .unwrap();
        let report = examine(&url("whole"), &[]).await.json();
        finds(&report, "permissions", "ok", "may do all");
        let report = examine(&url("part"), &[]).await.ends_with(1).json();
        // Of each role that needs it, and of no other.
        for (role, lacking) in [
            ("gateway", "publish tasks.query.normal.*"),
            ("publisher", "publish tasks.query.normal"),
            ("worker.maintenance", "$JS.API.STREAM.PURGE.SCHED"),
            ("worker.batch", "subscribe to fleet.workers.batch"),
        ] {
            let finding = finds(&report, "permissions", "error", &format!("role {role}:"));
            let message = finding["message"].as_str().unwrap();
            assert!(message.contains(lacking), "{message}");
        }
        assert_eq!(of(&report, "permissions").len(), 4, "{report:#}");
        let report = examine(&url("nobody"), &[]).await.ends_with(1).json();
        finds(&report, "broker", "error", "refuses our credentials");
    });
}

#[test]
fn dependencies_breakers_and_what_is_overdue() {
    test(async |nats| {
        let nobody = format!("openai.base_url=\"http://127.0.0.1:{}\"", free_port());
        let more = [
            nobody.as_str(),
            "openai.chat_model=\"m\"",
            "openai.api_key=\"k\"",
        ];
        let fleet = Fleet::start_with(nats, &["gateway", "stats", "query"], &more).await;
        fleet.post("/circuit-breakers/chromadb/open", "").await;
        crate::harness::eventually("health has heard", async || {
            fleet.get("/health").await.body["circuit_breakers"]["chromadb"] == "open"
        })
        .await;
        let server = format!("http://{}", fleet.address);
        let report = examine(&nats.url(), &["--server", &server])
            .await
            .ends_with(1)
            .json();
        finds(&report, "dependency", "error", "openai is down");
        finds(&report, "dependency", "note", "chromadb is disabled");
        finds(&report, "breaker", "warning", "chromadb is open");
        fleet.stop().await;
    });
}

#[test]
fn what_should_have_fired_by_now() {
    test(async |nats| {
        let limits = StreamLimits::default();
        let broker: Broker = broker(nats, &limits).await;
        let now = Timestamp::now();
        let task = NewTask {
            id: "late".parse().unwrap(),
            category: Category::Query,
            priority: Priority::Low,
            options: Options::default(),
            brand: None,
            payload: "{}".into(),
        };
        broker
            .submit_at(&task, now + Duration::from_secs(600), 10)
            .await
            .unwrap();
        let slack = Duration::from_secs(30);
        assert_eq!(
            broker.overdue(now, slack).await.unwrap(),
            Default::default()
        );
        let overdue = broker
            .overdue(now + Duration::from_secs(700), slack)
            .await
            .unwrap();
        assert_eq!(overdue.unfired.unwrap().0, "late");
        // One that has fired while its queue takes nothing.
        let client = Client::connect(nats).await;
        client.jetstream.delete_stream("TASKS_QUERY").await.unwrap();
        client.publish("due.query.low.stuck", "{}").await;
        let overdue = broker
            .overdue(now + Duration::from_secs(60), slack)
            .await
            .unwrap();
        assert!(overdue.stuck_since.is_some());
    });
}
