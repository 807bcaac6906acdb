//! A ChromaDB that takes connections and never answers: a question that gives up says nothing of
//! it, and a call that has all its time does.

use flotilla_tests::FakeOpenAi;
use futures::future::join_all;
use serde_json::json;

use crate::harness::fleet::Fleet;
use crate::harness::{Nats, eventually, test};

const SERVICES: [&str; 4] = ["gateway", "stats", "embedding", "query"];

struct Stage {
    fleet: Fleet,
    _hanging: std::net::TcpListener,
}

impl Stage {
    /// Three failures in a row open the breaker.
    async fn start(nats: &Nats) -> Self {
        let api = FakeOpenAi::start().await.unwrap();
        // The system completes its connections, and nobody accepts them.
        let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = [
            format!("openai.base_url={}", api.base_url),
            format!("chromadb.url=http://{}", hanging.local_addr().unwrap()),
        ];
        let mut settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        settings.extend([
            "openai.api_key=sk-never-shown",
            "openai.embedding_model=fake",
            "openai.embedding_dimensions=64",
            "chromadb.timeout=1s",
            "chromadb.query_timeout=100ms",
            "worker.breakers.chromadb.open_for=3s",
        ]);
        Self {
            fleet: Fleet::start_with(nats, &SERVICES, &settings).await,
            _hanging: hanging,
        }
    }

    /// Why a question is answered by its words.
    async fn why(&self) -> String {
        let answer = self.fleet.post("/query", r#"{"query": "Why?"}"#).await.body;
        assert_eq!(answer["status"], "completed", "{answer}");
        let why = answer["result"]["degraded_reason"].as_str();
        why.unwrap_or_default().to_owned()
    }

    async fn state(&self) -> String {
        let breakers = self.fleet.get("/circuit-breakers").await.body;
        let state = breakers["circuit_breakers"]["chromadb"]["state"].as_str();
        state.unwrap_or_default().to_owned()
    }
}

#[test]
fn only_a_call_that_has_all_its_time_opens_the_breaker() {
    const GIVEN_UP: &str = "does not answer within 100ms";
    test(async |nats| {
        let stage = Stage::start(nats).await;
        for _ in 0..4 {
            let why = stage.why().await;
            assert!(why.contains(GIVEN_UP), "{why}");
        }
        assert_eq!(stage.state().await, "closed");

        let embed = async |id: usize| {
            let document = json!({"id": id.to_string(), "text": "The pump is red."});
            let body = json!({"document": document, "max_retries": 0}).to_string();
            let answer = stage.fleet.post("/embed?wait=20s", &body).await.body;
            assert_eq!(answer["error"]["code"], "store_unavailable", "{answer}");
        };
        join_all((0..3).map(embed)).await;
        eventually("all know that the breaker is open", async || {
            stage.state().await == "open" && stage.why().await.contains("the breaker of chromadb")
        })
        .await;

        // A question is the probe then; as it gives up, the next one may try.
        for _ in 0..2 {
            eventually("a question probes", async || {
                stage.why().await.contains(GIVEN_UP)
            })
            .await;
        }
        assert_ne!(stage.state().await, "closed");
        stage.fleet.stop().await;
    });
}
