//! A worker that is connected and receives nothing while tasks wait notices, makes its requests
//! anew, says so, and is not ready until it works.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{self, FromConsumer};
use flotilla_tests::Script;
use jiff::Timestamp;
use serde_json::json;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, eventually, say, test};

const PATIENCE: Duration = Duration::from_millis(600);

/// What somebody does to the consumer of the tests, behind the fleet's back.
async fn change_consumer(client: &Client, change: impl FnOnce(&mut consumer::Config)) {
    let stream = client.jetstream.get_stream("TASKS_QUERY").await.unwrap();
    let consumer = stream.get_consumer::<Config>("query_normal").await.unwrap();
    let mut config = consumer.cached_info().config.clone();
    change(&mut config);
    let config = Config::try_from_consumer_config(config).unwrap();
    stream.update_consumer(config).await.unwrap();
}

/// Somebody has set a limit that the one task in backoff already fills.
#[test]
fn a_consumer_that_was_changed_is_repaired() {
    test(async |nats| {
        let worker = Setup::slots(2).deaf_after(PATIENCE).start(nats).await;
        let client = Client::connect(nats).await;
        let backing_off = Script {
            failures: 1,
            retry_after_ms: Some(600_000),
            ..Script::default()
        };
        let first = client.submit(&backing_off).await;
        client.status(&first, "retrying").await;
        change_consumer(&client, |config| config.max_ack_pending = 1).await;

        let id = client.submit(&say(1)).await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        worker.stop().await;
    });
}

/// Tasks that no consumer has in its filter are nobody's: they show only in the stream.
#[test]
fn a_consumer_with_another_filter_is_repaired() {
    test(async |nats| {
        let worker = Setup::slots(2).deaf_after(PATIENCE).start(nats).await;
        let client = Client::connect(nats).await;
        change_consumer(&client, |config| {
            config.filter_subjects = vec!["tasks.query.normal.*".to_owned()]
        })
        .await;

        let id = client.submit(&say(1)).await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        worker.stop().await;
    });
}

#[test]
fn a_deaf_worker_is_not_ready_and_says_so() {
    test(async |nats| {
        let more = ["worker.deaf_after=600ms"];
        let fleet = Fleet::start_with(nats, &["gateway", "stats", "scraping"], &more).await;
        let client = Client::connect(nats).await;
        assert_eq!(fleet.get("/health").await.body["healthy"], true);
        // By the broker's own means, which is somebody's wish: it stays so.
        let pause = async |until: Timestamp| {
            let body = json!({"pause_until": until.to_string()}).to_string();
            let subject = "$JS.API.CONSUMER.PAUSE.TASKS_SCRAPING.scraping_normal";
            client.nats.request(subject, body.into()).await.unwrap();
        };
        pause(Timestamp::now() + Duration::from_secs(600)).await;
        client
            .publish("tasks.scraping.normal.late", body(&say(1)))
            .await;
        let mut health = json!(null);
        eventually("the fleet is not healthy", async || {
            health = fleet.get("/health").await.body;
            health["healthy"] == false
        })
        .await;
        assert_eq!(health["services"]["scraping"], "deaf");
        assert!(
            health["problems"][0]
                .as_str()
                .unwrap()
                .contains("receive no tasks")
        );
        assert!(!fleet.is_ready("scraping"));
        assert_eq!(
            fleet.get("/workers").await.body["workers"]["scraping"]["instances"][0]["receiving"],
            false
        );

        pause(Timestamp::UNIX_EPOCH).await;
        eventually("it is healthy again", async || {
            fleet.get("/health").await.body["healthy"] == true
        })
        .await;
        assert!(fleet.is_ready("scraping"));
        fleet.stop().await;
    });
}
