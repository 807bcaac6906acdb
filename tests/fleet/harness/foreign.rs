//! A handler in somebody else's process: it knows HANDLERS.md, and nothing of our code.

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};

use super::fleet::Fleet;
use super::{Client, Nats};

pub(crate) struct Foreign {
    nats: async_nats::Client,
    requests: Subscriber,
    stops: Subscriber,
}

/// An attempt that it has been handed.
pub(crate) struct Handed {
    nats: async_nats::Client,
    pub(crate) message: Message,
}

/// The fleet whose queries are handled by others, with more settings.
pub(crate) async fn bridged(nats: &Nats, more: &[&str]) -> Fleet {
    let mut settings = vec![
        "fleet.categories=[\"query\"]",
        "bridge.categories=[\"query\"]",
        "worker.running_after=100ms",
    ];
    settings.extend(more);
    Fleet::start_with(nats, &["gateway", "stats", "bridge"], &settings).await
}

impl Foreign {
    pub(crate) async fn serve(client: &Client, category: &str) -> Self {
        Self::serve_by(client.nats.clone(), category).await
    }

    pub(crate) async fn serve_by(nats: async_nats::Client, category: &str) -> Self {
        let subject = format!("handlers.{category}");
        let stops = nats.subscribe(format!("{subject}.stop.*")).await.unwrap();
        let requests = nats.queue_subscribe(subject, "any".to_owned());
        let requests = requests.await.unwrap();
        nats.flush().await.unwrap();
        Self {
            nats,
            requests,
            stops,
        }
    }

    pub(crate) async fn next(&mut self) -> Handed {
        Handed {
            nats: self.nats.clone(),
            message: self.requests.next().await.unwrap(),
        }
    }

    /// The next word that an attempt is over: its task, and why.
    pub(crate) async fn stopped(&mut self) -> (String, Value) {
        let message = self.stops.next().await.unwrap();
        let told: Value = serde_json::from_slice(&message.payload).unwrap();
        let task_id = told["task_id"].as_str().unwrap();
        assert!(message.subject.ends_with(&format!(".stop.{task_id}")));
        (task_id.to_owned(), told["why"].clone())
    }
}

impl Handed {
    pub(crate) fn header(&self, name: &str) -> &str {
        let headers = self.message.headers.as_ref().unwrap();
        headers.get(name).map_or("", |value| value.as_str())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("Flotilla-Task-Id")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.message.payload).unwrap()
    }

    pub(crate) async fn say(&self, kind: &str, body: Value) {
        let headers = [("Flotilla-Say", kind)];
        self.answer(&headers, body.to_string()).await;
    }

    pub(crate) async fn done(&self, result: Value) {
        self.answer(&[], result.to_string()).await;
    }

    /// With these headers, as it is.
    pub(crate) async fn answer(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) {
        let reply = self.message.reply.clone().unwrap();
        let body = body.into();
        let said = match headers.is_empty() {
            true => self.nats.publish(reply, body).await,
            false => {
                let mut map = HeaderMap::new();
                for (name, value) in headers {
                    map.append(*name, *value);
                }
                self.nats.publish_with_headers(reply, map, body).await
            }
        };
        said.unwrap();
    }

    /// The same as a request: answered once it has been heard.
    pub(crate) async fn done_and_heard(&self, result: Value) {
        let reply = self.message.reply.clone().unwrap();
        let heard = self.nats.request(reply, result.to_string().into()).await;
        assert!(heard.unwrap().payload.is_empty());
    }
}

/// A failure as a handler says it.
pub(crate) fn because(code: &str) -> Value {
    json!({"code": code, "message": format!("it is {code}"), "after": 0})
}
