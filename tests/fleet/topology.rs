//! Streams and consumers are there whoever starts first, follow the configuration, and refuse
//! what they cannot keep.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{self, StorageType};
use flotilla_common::broker::{Refusal, StreamLimits};
use flotilla_common::model::Priority;
use flotilla_tests::Script;

use crate::harness::{Client, Setup, body, broker, connect, eventually, gate, say, task, test};
use crate::recount::reported;

const STREAMS: [&str; 10] = [
    "TASKS_SCRAPING",
    "TASKS_QUERY",
    "TASKS_EMBEDDING",
    "TASKS_BATCH",
    "TASKS_MAINTENANCE",
    "RESULTS",
    "DEAD",
    "ENDED",
    "EVENTS",
    "STATS",
];

async fn configs(client: &Client) -> Vec<stream::Config> {
    let mut configs = Vec::new();
    for name in STREAMS {
        let stream = client.jetstream.get_stream(name).await.unwrap();
        configs.push(stream.cached_info().config.clone());
    }
    configs
}

#[test]
fn ensuring_again_changes_nothing() {
    test(async |nats| {
        let limits = StreamLimits::default();
        let broker = broker(nats, &limits).await;
        let client = Client::connect(nats).await;
        let before = configs(&client).await;
        assert_eq!(broker.ensure_topology(&limits).await.unwrap(), []);
        assert_eq!(configs(&client).await, before);
    });
}

#[test]
fn several_may_be_first() {
    test(async |nats| {
        let limits = StreamLimits::default();
        let brokers = [
            connect(nats).await,
            connect(nats).await,
            connect(nats).await,
            connect(nats).await,
        ];
        let ensured = brokers.iter().map(|broker| broker.ensure_topology(&limits));
        for drifts in futures::future::join_all(ensured).await {
            assert_eq!(drifts.unwrap(), []);
        }
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&say(1)).await;
        client.outcome(&id).await;
        worker.stop().await;
    });
}

#[test]
fn a_changed_setting_is_updated() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let changed = StreamLimits {
            tasks_max: 1_000,
            results_age_max: Duration::from_secs(3_600),
            ack_wait: Duration::from_secs(7),
            ..StreamLimits::default()
        };
        assert_eq!(broker.ensure_topology(&changed).await.unwrap(), []);

        let client = Client::connect(nats).await;
        let tasks = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        assert_eq!(tasks.cached_info().config.max_messages, 1_000);
        let consumer: PullConsumer = tasks.get_consumer("query_low").await.unwrap();
        assert_eq!(consumer.cached_info().config.ack_wait, changed.ack_wait);
        let results = client.jetstream.get_stream("RESULTS").await.unwrap();
        assert_eq!(
            results.cached_info().config.max_age,
            changed.results_age_max
        );
    });
}

#[test]
fn what_cannot_be_changed_is_reported_and_the_rest_works() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        client
            .jetstream
            .create_stream(stream::Config {
                name: "RESULTS".to_owned(),
                subjects: vec!["results.*.*".to_owned()],
                storage: StorageType::Memory,
                allow_direct: true,
                ..Default::default()
            })
            .await
            .unwrap();
        let broker = connect(nats).await;
        let drifts = broker.ensure_topology(&StreamLimits::default()).await;
        let drifts = drifts.unwrap();
        assert_eq!(drifts.len(), 1, "{drifts:?}");
        let told = drifts[0].to_string();
        assert!(told.contains("stream RESULTS"), "{told}");
        assert!(told.contains("storage"), "{told}");

        let worker = Setup::slots(1).start(nats).await;
        let id = client.submit(&say("works")).await;
        assert_eq!(client.outcome(&id).await["result"], "works");
        worker.stop().await;
    });
}

#[test]
fn unknown_priorities_and_categories_are_refused() {
    test(async |nats| {
        let _broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        for subject in [
            "tasks.query.urgent",
            "tasks.query",
            "tasks.cooking.normal",
            "tasks.query.normal.an.id",
        ] {
            let refused = client.try_publish(subject, HeaderMap::new(), "{}").await;
            let kind = refused.unwrap_err().kind();
            assert_eq!(kind, PublishErrorKind::StreamNotFound, "{subject}");
        }
    });
}

#[test]
fn a_full_stream_refuses_and_loses_nothing() {
    test(async |nats| {
        let mut setup = Setup::slots(1);
        setup.streams.tasks_max = 5;
        let broker = broker(nats, &setup.streams).await;
        let client = Client::connect(nats).await;
        for n in 0..5 {
            let task = task(Priority::Normal, &say(n));
            broker.submit(&task).await.unwrap();
        }
        let one_more = task(Priority::Critical, &say(5));
        let refused = broker.submit(&one_more).await.unwrap_err();
        let refusal = refused.refusal();
        assert!(
            matches!(refusal, Some(Refusal::StreamFull(_))),
            "{refused:?}"
        );
        let refused = client
            .try_publish("tasks.query.low", HeaderMap::new(), "{}")
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("maximum messages exceeded"), "{refused}");

        let worker = setup.start(nats).await;
        client.all_settled().await;
        assert_eq!(client.records().await.len(), 5);
        // There is room again, for the same task under the same id.
        assert!(!broker.submit(&one_more).await.unwrap().duplicate);
        client.outcome(one_more.id.as_str()).await;
        worker.stop().await;
    });
}

/// A bare publish: the fleet's own submissions store what is too large as an object.
#[test]
fn a_message_that_is_too_large_is_refused() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        // Above the stream's limit; above the server's.
        for size in [1_000_000, 1_200_000] {
            let body = vec![b' '; size];
            let refused = client
                .try_publish("tasks.query.normal", async_nats::HeaderMap::new(), body)
                .await;
            refused.unwrap_err();
        }
        assert_eq!(client.state("TASKS_QUERY").await.messages, 0);
        // It is the message that was refused, not the publisher.
        broker
            .submit(&task(Priority::Normal, &say(1)))
            .await
            .unwrap();
    });
}

#[test]
fn a_deleted_consumer_is_made_anew() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let tasks = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        for n in 0..3 {
            for name in ["query_critical", "query_normal", "query_bulk"] {
                tasks.delete_consumer(name).await.unwrap();
            }
            let id = client.submit(&say(n)).await;
            assert_eq!(client.outcome(&id).await["result"], n);
        }
        client.all_settled().await;
        worker.stop().await;
    });
}

/// The consumer made anew knows nothing of what is running: it hands it out again, as if for
/// the first time.
#[test]
fn a_running_task_outlasts_its_consumer() {
    test(async |nats| {
        let setup = Setup::slots(2)
            .ack_wait(Duration::from_secs(1))
            .running_after(Duration::from_millis(50));
        let worker = setup.start(nats).await;
        let client = Client::connect(nats).await;
        let id = client.submit(&gate("long")).await;
        client.status(&id, "running").await;
        let tasks = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
        tasks.delete_consumer("query_normal").await.unwrap();
        eventually("it runs twice", async || worker.handler.runs_of(&id) == 2).await;
        worker.handler.open("long");
        let outcome = client.outcome(&id).await;
        client.all_settled().await;
        assert_eq!(outcome["status"], "completed");
        assert_eq!(client.record(&id).await.unwrap(), outcome);
        worker.stop().await;
        let tally = reported(&client).await;
        let completed: u64 = tally.lanes().map(|(_, counts)| counts.completed).sum();
        assert_eq!(completed, 1, "the same worker has run it twice");
    });
}

#[test]
fn a_deleted_stream_is_made_anew() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let first = client.submit(&say("before")).await;
        client.outcome(&first).await;
        client.jetstream.delete_stream("TASKS_QUERY").await.unwrap();
        eventually("the stream is back", async || {
            client.jetstream.get_stream("TASKS_QUERY").await.is_ok()
        })
        .await;
        let second = client.submit(&say("after")).await;
        assert!(second > first, "ids never repeat: {first}, {second}");
        assert_eq!(client.outcome(&second).await["result"], "after");
        worker.stop().await;
    });
}

#[test]
fn deleted_results_are_made_anew() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        client.jetstream.delete_stream("RESULTS").await.unwrap();
        let id = client.submit(&say("after")).await;
        eventually("the stream is back", async || {
            client.jetstream.get_stream("RESULTS").await.is_ok()
        })
        .await;
        assert_eq!(client.outcome(&id).await["result"], "after");
        client.all_settled().await;
        worker.stop().await;
    });
}

#[test]
fn streams_deleted_between_two_attempts_are_made_anew() {
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let script = Script {
            failures: u32::MAX,
            retry_after_ms: Some(500),
            ..Script::default()
        };
        let headers = [("Flotilla-Max-Retries", "1")];
        let ack = client
            .publish_with("tasks.query.normal", &headers, body(&script))
            .await;
        let id = format!("query_{}", ack.sequence);
        client.status(&id, "retrying").await;
        client.jetstream.delete_stream("RESULTS").await.unwrap();
        client.jetstream.delete_stream("DEAD").await.unwrap();

        eventually("the streams are back", async || {
            client.jetstream.get_stream("RESULTS").await.is_ok()
                && client.jetstream.get_stream("DEAD").await.is_ok()
        })
        .await;
        assert_eq!(client.outcome(&id).await["status"], "failed");
        client.all_settled().await;
        worker.stop().await;
    });
}
