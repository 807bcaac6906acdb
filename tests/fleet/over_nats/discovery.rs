//! What `nats service ls|info|stats` show.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_common::model::Call;
use futures::StreamExt;
use serde_json::Value;

use super::requester::client;
use crate::harness::fleet::Fleet;
use crate::harness::{Client, eventually, test};

/// The answers of all services to a verb of the services API.
async fn services(client: &Client, verb: &str) -> Vec<Value> {
    let inbox = client.nats.new_inbox();
    let mut replies = client.nats.subscribe(inbox.clone()).await.unwrap();
    let asked = client
        .nats
        .publish_with_reply(format!("$SRV.{verb}"), inbox, "".into());
    asked.await.unwrap();
    let mut found = Vec::new();
    // As the command line does: whoever has not answered by then is not there.
    while let Ok(Some(reply)) =
        tokio::time::timeout(Duration::from_millis(500), replies.next()).await
    {
        found.push(serde_json::from_slice(&reply.payload).unwrap());
    }
    found
}

async fn the_gateway(client: &Client, verb: &str) -> Value {
    let mut found = services(client, verb).await;
    found.retain(|service| service["name"] == "flotilla");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn the_service_tells_what_it_answers() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = client(nats).await;
        let names: BTreeSet<_> = services(&client, "PING")
            .await
            .iter()
            .map(|service| service["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            BTreeSet::from(["flotilla", "flotilla-stats"].map(str::to_owned))
        );

        let info = the_gateway(&client, "INFO").await;
        assert_eq!(info["metadata"]["protocol"], "1");
        assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
        let endpoints = info["endpoints"].as_array().unwrap();
        assert_eq!(endpoints.len(), Call::ALL.len());
        for endpoint in endpoints {
            let metadata = &endpoint["metadata"];
            assert!(
                !metadata["description"].as_str().unwrap().is_empty(),
                "{endpoint}"
            );
            let scope = metadata["scope"].as_str().unwrap();
            assert!(["read", "submit", "manage"].contains(&scope), "{endpoint}");
            assert_eq!(
                endpoint["queue_group"], "q",
                "each request is for one gateway"
            );
        }
        fleet.stop().await;
    });
}

#[test]
fn requests_and_refusals_are_counted() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = client(nats).await;
        client.req("fleet.queue.list", "").await;
        client
            .req("fleet.task.get", r#"{"task_id":"nothing"}"#)
            .await;
        let mut stats = Value::Null;
        eventually("they are counted", async || {
            stats = the_gateway(&client, "STATS").await;
            let endpoints = stats["endpoints"].as_array().unwrap();
            let of = |name: &str| endpoints.iter().find(|e| e["name"] == name).unwrap();
            of("queue-list")["num_requests"] == 1
                && of("queue-list")["num_errors"] == 0
                && of("task-get")["num_requests"] == 1
                && of("task-get")["num_errors"] == 1
                && of("task-get")["last_error"]
                    .as_str()
                    .unwrap()
                    .starts_with("404:")
        })
        .await;
        fleet.stop().await;
    });
}
