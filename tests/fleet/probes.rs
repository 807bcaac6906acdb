//! What an orchestrator is told: alive, ready, started.

use std::sync::mpsc;
use std::time::Duration;

use flotilla_common::service::{Context, Ops, Settings, serve};
use flotilla_tests::Scripted;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::scrape::scrape;
use crate::harness::{Client, Nats, binary, connect_to, eventually, gate, http, test};

/// A service of the tests' own, run as `main` runs one.
struct Service {
    ops: Ops,
    stop: CancellationToken,
    handler: Scripted,
    context: Context,
}

fn settings(url: &str) -> Settings {
    let set = [
        format!("nats.url={url}"),
        "ops.listen=127.0.0.1:0".to_owned(),
        "worker.drain_grace=20s".to_owned(),
    ];
    Settings::load(None, std::iter::empty(), &set).unwrap()
}

impl Service {
    fn new(nats: &Nats) -> Self {
        let stop = CancellationToken::new();
        let context = Context::new(settings(&nats.url()), stop.clone());
        Self {
            ops: Ops::start(&context, 1).unwrap(),
            stop,
            handler: Scripted::default(),
            context,
        }
    }

    fn run(&self) -> JoinHandle<anyhow::Result<()>> {
        tokio::spawn(serve(self.context.clone(), self.handler.clone()))
    }

    async fn probe(&self, page: &str) -> (u16, String) {
        let answer = http::get(&self.ops.address().unwrap().to_string(), page).await;
        (answer.status, answer.text)
    }

    async fn becomes(&self, page: &str, status: u16) {
        eventually(&format!("{page} is {status}"), async || {
            self.probe(page).await.0 == status
        })
        .await;
    }
}

#[test]
fn started_is_who_has_ensured_the_topology() {
    test(async |nats| {
        let service = Service::new(nats);
        let (status, why) = service.probe("/startupz").await;
        assert_eq!(status, 503);
        assert!(why.contains("1 of 1 services"), "{why}");
        assert_eq!(service.probe("/readyz").await.0, 503);
        assert_eq!(service.probe("/livez").await, (200, "ok\n".to_owned()));

        // A broker that answers nothing: connected, and without topology.
        let running = {
            nats.freeze();
            let running = service.run();
            eventually("the service begins", async || {
                service
                    .probe("/startupz")
                    .await
                    .1
                    .contains("query has not ensured")
            })
            .await;
            nats.thaw();
            running
        };
        service.becomes("/startupz", 200).await;
        service.becomes("/readyz", 200).await;
        service.stop.cancel();
        running.await.unwrap().unwrap();
        assert_eq!(service.probe("/startupz").await.0, 200, "it stays so");
        assert_eq!(service.probe("/readyz").await.0, 503);
        let lost = http::get(&service.ops.address().unwrap().to_string(), "/elsewhere").await;
        assert_eq!(lost.status, 404);
    });
}

#[test]
fn without_its_broker_a_service_is_alive_and_not_ready() {
    test(async |nats| {
        let service = Service::new(nats);
        let running = service.run();
        service.becomes("/readyz", 200).await;
        nats.kill();
        service.becomes("/readyz", 503).await;
        let (_, why) = service.probe("/readyz").await;
        assert!(why.contains("query is not connected"), "{why}");
        assert_eq!(service.probe("/livez").await.0, 200);
        let address = service.ops.address().unwrap().to_string();
        let disconnected = r#"state="disconnected""#;
        let seen = scrape(&address).await;
        assert_eq!(
            seen.get("flotilla_broker_connections", disconnected),
            Some(1.0)
        );
        assert_eq!(
            seen.get("flotilla_service_ready", r#"service="query""#),
            Some(0.0)
        );
        nats.restart().await;
        service.becomes("/readyz", 200).await;
        service.stop.cancel();
        running.await.unwrap().unwrap();
    });
}

#[test]
fn who_drains_is_not_ready_and_still_tells() {
    test(async |nats| {
        let service = Service::new(nats);
        let running = service.run();
        service.becomes("/readyz", 200).await;
        let client = Client::connect(nats).await;
        client.submit(&gate("go")).await;
        let handler = service.handler.clone();
        eventually("it runs", async || handler.started().len() == 1).await;
        service.stop.cancel();
        service.becomes("/readyz", 503).await;
        let (_, why) = service.probe("/readyz").await;
        assert!(why.contains("drains"), "{why}");
        assert_eq!(service.probe("/livez").await.0, 200);
        assert!(!running.is_finished());
        handler.open("go");
        running.await.unwrap().unwrap();
        let seen = scrape(&service.ops.address().unwrap().to_string()).await;
        // The worker is gone, and its connection with it.
        assert_eq!(seen.get("flotilla_slots", r#"category="query""#), None);
    });
}

/// The listener has a thread of its own: a loop that is stuck is told, where others time out.
#[test]
fn a_stuck_event_loop_is_not_alive() {
    let (address, is_at) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let stuck = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut settings = settings("nats://127.0.0.1:1");
            settings.set("ops", "stuck_after", "1s");
            let context = Context::new(settings, CancellationToken::new());
            let ops = Ops::start(&context, 1).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            address.send(ops.address().unwrap().to_string()).unwrap();
            released.recv().unwrap();
            // It beats again.
            address.send(String::new()).unwrap();
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        });
    });
    let address = is_at.recv().unwrap();
    test(async |_| {
        let alive = async || http::get(&address, "/livez").await;
        eventually("the probe tells", async || alive().await.status == 503).await;
        assert!(alive().await.text.contains("has not beaten"));
        let lag = scrape(&address)
            .await
            .get("flotilla_event_loop_lag_seconds", "");
        assert!(lag > Some(0.5), "{lag:?}");
        release.send(()).unwrap();
        is_at.recv().unwrap();
        eventually("it recovers", async || alive().await.status == 200).await;
    });
    assert!(!stuck.is_finished());
}

#[test]
fn a_taken_port_is_told_and_what_was_not_asked_for_is_left_out() {
    test(async |nats| {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = format!("ops.listen={}", taken.local_addr().unwrap());
        let said = tokio::process::Command::new(binary("flotilla-stats"))
            .args(["--set", &listen])
            .env("NATS_URL", nats.url())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(1), "{text}");
        assert!(
            text.contains("something else listens there already"),
            "{text}"
        );
        // It has not touched the broker before that.
        let broker = connect_to(&nats.url()).await;
        assert!(broker.storage().await.unwrap().streams.is_empty());

        let none = Settings::load(None, std::iter::empty(), &[]).unwrap();
        let context = Context::new(none, CancellationToken::new());
        assert!(Ops::start(&context, 1).unwrap().address().is_none());
    });
}
