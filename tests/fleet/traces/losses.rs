//! What sampling leaves out, and what a collector does not take: no task is lost over it, and
//! none that goes wrong is left out.

use flotilla_tests::Script;
use flotilla_tests::otlp::{Behaviour, FakeCollector, traces_to};
use futures::future::join_all;

use super::{all, finished, one, sound};
use crate::harness::fleet::{Fleet, free_port};
use crate::harness::{Client, Setup, body, eventually, say, test};

const NONE: (&str, &str) = ("OTEL_TRACES_SAMPLER", "parentbased_always_off");
const SEND: &str = "send tasks.query.normal";
const PROCESS: &str = "process tasks.query.normal";

#[test]
fn a_task_that_goes_wrong_is_kept_though_nobody_samples_it() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let worker = Setup::slots(1)
            .traces(&collector.traces(&[NONE]))
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let headers = [("traceparent", unsampled)];
        let fine = client.submit(&say("fine")).await;
        client
            .publish_with("tasks.query.normal.fine", &headers, body(&say(1)))
            .await;
        let wrong = Script {
            failures: 1,
            retry_after_ms: Some(50),
            ..say("at last")
        };
        let without = client.submit(&wrong).await;
        client
            .publish_with("tasks.query.normal.wrong", &headers, body(&wrong))
            .await;
        for id in [without.as_str(), "wrong"] {
            let spans = finished(&collector, id).await;
            assert_eq!(one(&spans, SEND).parent, None, "{spans:#?}");
            assert_eq!(all(&spans, PROCESS).len(), 2, "{spans:#?}");
            one(&spans, "backoff");
            sound(&collector, &spans[0].trace);
        }
        for id in [fine.as_str(), "fine"] {
            client.outcome(id).await;
            assert!(collector.of_task(id).is_empty());
            let kept = &client.record(id).await.unwrap()["trace"]["is_kept"];
            assert_eq!(kept, false);
        }
        worker.stop().await;
    });
}

#[test]
fn a_collector_that_is_gone_costs_no_task_and_is_counted() {
    test(async |nats| {
        let nowhere = format!("http://127.0.0.1:{}", free_port());
        let traces = traces_to(
            &nowhere,
            &[
                ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
                ("OTEL_BSP_EXPORT_TIMEOUT", "50"),
            ],
        );
        let worker = Setup::slots(8).traces(&traces).start(nats).await;
        let client = Client::connect(nats).await;
        let scripts: Vec<_> = (0..100).map(say).collect();
        let ids = join_all(scripts.iter().map(|script| client.submit(script))).await;
        for id in &ids {
            assert_eq!(client.outcome(id).await["status"], "completed");
        }
        eventually("what is lost is counted", async || {
            let counts = traces.counts().unwrap();
            counts.failed > 0 && counts.dropped > 0 && counts.exported == 0
        })
        .await;
        worker.stop().await;
        traces.stop(std::time::Duration::from_millis(100)).await;
    });
}

#[test]
fn the_fleet_tells_what_became_of_its_spans() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let services = ["gateway", "stats"];
        let fleet = Fleet::start_traced(nats, &services, &[], collector.traces(&[])).await;
        fleet.post("/query?wait=0", r#"{"query":"q"}"#).await;
        eventually("it is told", async || {
            let stats = fleet.get("/stats").await.body;
            stats["spans"]["exported"].as_u64() >= Some(1) && stats["spans"]["failed"] == 0
        })
        .await;
        fleet.stop().await;
    });
}

#[test]
fn a_collector_that_comes_back_gets_what_waited() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        collector.behave(Behaviour::Refuses);
        let traces = collector.traces(&[]);
        let worker = Setup::slots(1).traces(&traces).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&say(1)).await;
        client.outcome(&id).await;
        collector.behave(Behaviour::Takes);
        finished(&collector, &id).await;
        assert_eq!(traces.counts().unwrap().failed, 0);
        worker.stop().await;
    });
}

/// No word of the last second is lost by a stop.
#[test]
fn a_stop_sends_what_is_left() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
        let worker = Setup::slots(1).traces(&traces).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&say(1)).await;
        client.outcome(&id).await;
        worker.stop().await;
        assert!(collector.of_task(&id).is_empty());
        traces.stop(std::time::Duration::from_secs(10)).await;
        assert_eq!(collector.of_task(&id).len(), 4);
        assert_eq!(traces.counts().unwrap().exported, 4);
    });
}

#[test]
fn a_collector_that_hangs_keeps_nobody_from_stopping() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        collector.behave(Behaviour::Hangs);
        let traces = collector.traces(&[]);
        let worker = Setup::slots(1).traces(&traces).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&say(1)).await;
        client.outcome(&id).await;
        worker.stop().await;
        traces.stop(std::time::Duration::from_millis(50)).await;
        assert_eq!(traces.counts().unwrap().exported, 0);
    });
}
