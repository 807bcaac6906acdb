//! What clients of version 1 send and read, kept as it was. A change that breaks one of these
//! breaks clients: then the contract needs a new version, and these files stay.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::validator::{check, lacks};
use crate::harness::fleet::{EVERYTHING, Fleet};
use crate::harness::{Client, Site, eventually, test};

#[derive(Deserialize)]
struct Publish {
    name: String,
    subject: String,
    headers: std::collections::BTreeMap<String, String>,
    body: Option<Value>,
    text: Option<String>,
    outcome: Value,
}

#[derive(Deserialize)]
struct Request {
    call: Option<String>,
    subject: String,
    headers: std::collections::BTreeMap<String, String>,
    body: Value,
    reply: Option<Value>,
    refusal: Option<Value>,
}

fn read<T: serde::de::DeserializeOwned>(name: &str, site: &Site) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("protocol/v1")
        .join(name);
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text.replace("{site}", &site.url)).unwrap()
}

fn pairs(headers: &std::collections::BTreeMap<String, String>) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect()
}

#[test]
fn what_version_1_sends_is_accepted_and_what_it_reads_is_there() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &EVERYTHING).await, Site::start().await);
        let client = crate::over_nats::client(nats).await;
        publishes(&client, &site).await;
        requests(&client, &site).await;
        fleet.stop().await;
    });
}

async fn publishes(client: &Client, site: &Site) {
    let publishes: Vec<Publish> = read("publishes.json", site);
    for publish in publishes {
        let name = &publish.name;
        let category = publish.subject.split('.').nth(1).unwrap();
        let body = match (&publish.body, &publish.text) {
            (Some(body), _) => {
                check(&format!("task-{category}"), body);
                body.to_string()
            }
            (None, text) => text.clone().unwrap(),
        };
        let ack = client
            .publish_with(&publish.subject, &pairs(&publish.headers), body)
            .await;
        let id = match publish.outcome["task_id"].as_str() {
            Some(id) if !id.starts_with('<') => id.to_owned(),
            _ => match publish.subject.split('.').nth(3) {
                Some(id) => id.to_owned(),
                None => format!("scrape_{}", ack.sequence),
            },
        };
        let subject = format!("results.{category}.{id}");
        let mut record = Value::Null;
        eventually(name, async || {
            record = stored(client, &subject).await;
            let status = record["status"].as_str().unwrap_or_default();
            ["completed", "failed", "cancelled", "expired"].contains(&status)
        })
        .await;
        check("record", &record);
        if let Some(fault) = lacks(&record, &publish.outcome, "the outcome") {
            panic!("{name}: {fault}\n{record:#}");
        }
    }
}

async fn stored(client: &Client, subject: &str) -> Value {
    let stream = client
        .jetstream
        .get_stream_no_info("RESULTS")
        .await
        .unwrap();
    match stream.direct_get_last_for_subject(subject).await {
        Ok(message) => serde_json::from_slice(&message.payload).unwrap(),
        Err(_) => Value::Null,
    }
}

async fn requests(client: &Client, site: &Site) {
    let requests: Vec<Request> = read("requests.json", site);
    for request in requests {
        let (subject, body) = (&request.subject, &request.body);
        if let (Some(call), Some(_)) = (&request.call, &request.reply) {
            match call.as_str() {
                "ask" | "submit" => {
                    let category = subject.split('.').nth(2).unwrap();
                    check(&format!("submission-{category}"), body);
                }
                call => check(&format!("{call}.request"), body),
            }
        }
        let mut failed = String::new();
        // What the index of tasks knows comes a moment later.
        eventually(&format!("{subject} {body}"), async || {
            let reply = client
                .req_with(subject, &pairs(&request.headers), body.to_string())
                .await;
            let lacking = match (&request.reply, &request.refusal, reply.code()) {
                (Some(expected), None, None) => {
                    if let Some(call) = &request.call {
                        check(&format!("{call}.reply"), &reply.body);
                    }
                    lacks(&reply.body, expected, "the reply")
                }
                (None, Some(expected), Some(code)) => {
                    check("refusal", &reply.body);
                    let mut found = reply.body.clone();
                    found["code"] = code.into();
                    lacks(&found, expected, "the refusal")
                }
                _ => Some("it is not what was expected".to_owned()),
            };
            if let Some(fault) = lacking {
                let told = format!("{fault}: {:#}", reply.body);
                if told != failed {
                    eprintln!("{subject} {body}: {told}");
                    failed = told;
                }
                return false;
            }
            true
        })
        .await;
    }
}
