//! Vectors in a real ChromaDB: stored there, found there, and made equal to what is stored on the
//! broker, on behalf of tasks that the runtime runs.

use flotilla_common::broker::{Broker, StreamLimits};
use flotilla_common::model::{Category, Dependency, DocumentKey, Needs, Outcome};
use flotilla_common::worker::{self, Attempt, Handler};
use flotilla_knowledge::{Chunk, Document, Vector, chroma::Config, dense::Store};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::chroma_server::Chroma;
use crate::harness::{Client, Nats, broker, eventually, test};

const BREAKER: Dependency = Dependency::ChromaDb;

/// Does with the store what its payload says.
struct Storing(Store);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Payload {
    Put(Document),
    Sync(String),
    Near {
        vector: Vec<f32>,
        brand: Option<String>,
    },
    DropOthers,
}

impl Handler for Storing {
    type Payload = Payload;

    fn category(&self) -> Category {
        Category::Query
    }

    fn needs(&self, payload: &Payload) -> Needs {
        match payload {
            Payload::Put(_) | Payload::Sync(_) => self.0.needs(),
            Payload::Near { .. } | Payload::DropOthers => Needs::default(),
        }
    }

    async fn handle(&self, payload: Payload, attempt: &Attempt) -> Outcome {
        let done = match payload {
            Payload::Put(document) => self.0.put(&document, attempt).await.map(|()| Value::Null),
            Payload::Sync(key) => {
                let key = DocumentKey::parse(&key).unwrap();
                self.0.sync(&key, attempt).await.map(|()| Value::Null)
            }
            Payload::Near { vector, brand } => {
                let vector = Vector::of(&vector).unwrap();
                let near = self.0.nearest(&vector, brand.as_deref(), attempt).await;
                near.map(|near| {
                    json!(near.map(|near| {
                        let near = near
                            .iter()
                            .map(|(id, cosine)| json!([id.to_string(), cosine]));
                        near.collect::<Vec<_>>()
                    }))
                })
            }
            Payload::DropOthers => self.0.drop_others(attempt).await.map(|names| json!(names)),
        };
        done.map_or_else(Outcome::from, Outcome::Done)
    }
}

struct Stage {
    broker: Broker,
    client: Client,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Stage {
    async fn start(nats: &Nats, chroma: &Chroma, embedder: &str) -> Self {
        let config = Config {
            url: Some(chroma.url()),
            query_timeout: std::time::Duration::from_secs(5),
            ..Config::default()
        };
        let handler = Storing(Store::new(&config, Some(embedder)).unwrap());
        let mut rules = worker::Config::default();
        let open_for = serde_json::from_value(json!({"open_for": "1s"})).unwrap();
        rules.breakers.insert(BREAKER, open_for);
        let (streams, stop) = (StreamLimits::default(), CancellationToken::new());
        let (ours, theirs) = (broker(nats, &streams).await, broker(nats, &streams).await);
        let stopped = stop.clone();
        let worker = tokio::spawn(async move {
            let meter = Default::default();
            let run = worker::run(handler, theirs, &rules, &streams, stopped, |_| {}, meter);
            run.await.unwrap();
        });
        let client = Client::connect(nats).await;
        Self {
            broker: ours,
            client,
            stop,
            worker,
        }
    }

    /// The id of a task.
    async fn submit(&self, payload: &Value) -> String {
        let headers = [("Flotilla-Max-Retries", "0")];
        let subject = "tasks.query.normal";
        let ack = self
            .client
            .publish_with(subject, &headers, payload.to_string());
        format!("query_{}", ack.await.sequence)
    }

    async fn run(&self, payload: &Value) -> Value {
        let id = self.submit(payload).await;
        self.client.outcome(&id).await
    }

    async fn done(&self, payload: &Value) -> Value {
        let outcome = self.run(payload).await;
        assert_eq!(outcome["status"], "completed", "{outcome}");
        outcome["result"].clone()
    }

    /// As the embedding service does.
    async fn store(&self, document: &Document) {
        self.done(&json!({"put": document})).await;
        let body = serde_json::to_vec(document).unwrap();
        let key = document.key();
        let (revision, _) = self.broker.document_version(&key).await.unwrap();
        self.broker
            .put_document(&key, document.summary(), body, revision)
            .await
            .unwrap();
        self.sync(document).await;
    }

    async fn sync(&self, document: &Document) {
        self.done(&json!({"sync": document.key().to_string()}))
            .await;
    }

    async fn near(&self, vector: &[f32], brand: Option<&str>) -> Vec<String> {
        let near = self
            .done(&json!({"near": {"vector": vector, "brand": brand}}))
            .await;
        let ids = near.as_array().unwrap().iter();
        ids.map(|found| found[0].as_str().unwrap().to_owned())
            .collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.worker.await.unwrap();
    }
}

/// A version of a document with so many chunks, each in a direction of its own.
fn document(id: &str, brand: &str, version: &str, chunks: usize) -> Document {
    let chunk = |n: usize| Chunk {
        headings: Vec::new(),
        text: format!("{version} {n}"),
        vector: Vector::of(&[1.0, n as f32, 0.5]),
    };
    Document {
        id: id.to_owned(),
        brand: Some(brand.to_owned()),
        title: id.to_owned(),
        url: None,
        content_hash: version.to_owned(),
        as_of: jiff::Timestamp::UNIX_EPOCH,
        embedder: Some("e1".to_owned()),
        chunks: (0..chunks).map(chunk).collect(),
    }
}

fn ids(document: &Document) -> Vec<String> {
    document.chunk_ids().map(|id| id.to_string()).collect()
}

#[test]
fn versions_replace_each_other_and_brands_are_apart() {
    test(async |nats| {
        let chroma = Chroma::start().await;
        let stage = Stage::start(nats, &chroma, "e1").await;
        // Nothing was ever stored: that is told from nothing found.
        let near = json!({"near": {"vector": [1.0, 0.0, 0.5], "brand": null}});
        assert_eq!(stage.done(&near).await, Value::Null);

        // More rows than a batch takes.
        let (long, other) = (document("a", "x", "1", 1_100), document("b", "y", "1", 2));
        stage.store(&long).await;
        stage.store(&other).await;
        assert_eq!(chroma.count().await, 1_102);
        let new = document("a", "x", "2", 3);
        stage.store(&new).await;
        assert_eq!(chroma.count().await, 5);

        let near = stage.near(&[1.0, 2.0, 0.5], Some("x")).await;
        assert_eq!((near.len(), &near[0]), (3, &ids(&new)[2]));
        assert_eq!(stage.near(&[1.0, 2.0, 0.5], None).await.len(), 5);
        assert_eq!(stage.near(&[1.0, 2.0, 0.5], Some("z")).await, [""; 0]);
        stage.stop().await;
    });
}

#[test]
fn what_is_missing_or_left_over_heals() {
    test(async |nats| {
        let chroma = Chroma::start().await;
        let stage = Stage::start(nats, &chroma, "e1").await;
        let stored = document("a", "x", "1", 3);
        stage.store(&stored).await;
        // The collection is deleted under us, whose id is remembered.
        let name = chroma.counts().await[0].0.clone();
        chroma.drop_collection(&name).await;
        stage.sync(&stored).await;
        assert_eq!(chroma.counts().await, [(name, 3)]);
        // An attempt ended after it had stored a version's chunks, and before the version.
        stage
            .done(&json!({"put": document("a", "x", "2", 5)}))
            .await;
        let key = stored.key();
        chroma.leave_over(&key.to_string(), &[1.0, 0.0, 0.0]).await;
        assert_eq!(chroma.count().await, 9);
        stage.sync(&stored).await;
        assert_eq!(chroma.count().await, 3);
        let mut near = stage.near(&[1.0, 0.0, 0.5], Some("x")).await;
        let mut expected = ids(&stored);
        near.sort();
        expected.sort();
        assert_eq!(near, expected);
        // A document that is retired leaves nothing.
        stage.broker.retire_document(&key).await.unwrap();
        stage.sync(&stored).await;
        assert_eq!(chroma.count().await, 0);
        stage.stop().await;
    });
}

#[test]
fn embedders_have_collections_of_their_own() {
    test(async |nats| {
        let chroma = Chroma::start().await;
        let stage = Stage::start(nats, &chroma, "e1").await;
        let stored = document("a", "x", "1", 3);
        stage.store(&stored).await;
        stage.stop().await;

        let stage = Stage::start(nats, &chroma, "e2").await;
        // Vectors of another embedder are not taken.
        stage.sync(&stored).await;
        assert_eq!(chroma.count().await, 3);
        let mut again = document("a", "x", "1", 2);
        again.embedder = Some("e2".to_owned());
        stage.store(&again).await;
        assert_eq!(chroma.counts().await.len(), 2);
        assert_eq!(stage.near(&[1.0, 0.0, 0.5], None).await.len(), 2);
        let dropped = stage.done(&json!("drop_others")).await;
        assert_eq!(dropped.as_array().unwrap().len(), 1);
        assert_eq!(chroma.count().await, 2);
        stage.stop().await;
    });
}

#[test]
fn while_it_is_down_the_breaker_opens_and_documents_wait() {
    test(async |nats| {
        let mut chroma = Chroma::start().await;
        let stage = Stage::start(nats, &chroma, "e1").await;
        stage.store(&document("a", "x", "1", 3)).await;
        chroma.kill();
        let near = json!({"near": {"vector": [1.0, 0.0, 0.5], "brand": null}});
        for _ in 0..3 {
            let outcome = stage.run(&near).await;
            assert_eq!(outcome["error"]["code"], "store_unavailable", "{outcome}");
        }
        let held = stage
            .submit(&json!({"put": document("b", "x", "1", 2)}))
            .await;
        let record = stage.client.status(&held, "deferred").await;
        assert_eq!(record["reason"]["code"], "breaker_open", "{record}");

        chroma.restart().await;
        assert_eq!(stage.client.outcome(&held).await["status"], "completed");
        assert_eq!(chroma.count().await, 5);
        eventually("the breaker is closed", async || {
            let circuit = stage.broker.circuit(BREAKER).await.unwrap().unwrap();
            circuit.value.state() == flotilla_common::model::BreakerState::Closed
        })
        .await;
        assert_eq!(stage.near(&[1.0, 0.0, 0.5], None).await.len(), 5);
        stage.stop().await;
    });
}
