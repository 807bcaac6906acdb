//! Vectors and answers of an OpenAI-compatible API, and what is left without it.

use flotilla_tests::{FakeOpenAi, Mood};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Nats, eventually, test};

const SERVICES: [&str; 4] = ["gateway", "stats", "embedding", "query"];
const TEXT: &str = "The tank of the pump holds 5 litres of water. Never use bleach.";

async fn fleet(nats: &Nats, api: &FakeOpenAi, more: &[&str]) -> Fleet {
    let base_url = format!("openai.base_url={}", api.base_url);
    let mut settings = vec![
        base_url.as_str(),
        "openai.api_key=sk-never-shown",
        "openai.embedding_dimensions=64",
    ];
    settings.extend(more);
    Fleet::start_with(nats, &SERVICES, &settings).await
}

async fn embed(fleet: &Fleet) -> Value {
    let body = json!({"document": {"id": "manual", "title": "Pump manual", "text": TEXT}});
    let answer = fleet.post("/embed?wait=20s", &body.to_string()).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

async fn ask(fleet: &Fleet, mode: &str, sequence: &Value) -> Value {
    let body = json!({"query": "How much water does the tank of the pump hold?", "mode": mode, "at_least": sequence});
    let answer = fleet.post("/query?wait=20s", &body.to_string()).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    answer.body["result"].clone()
}

#[test]
fn written_answers_are_checked_against_what_they_cite() {
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let fleet = fleet(nats, &api, &["openai.chat_model=fake"]).await;
        let sequence = embed(&fleet).await["sequence"].clone();
        let answer = ask(&fleet, "auto", &sequence).await;
        assert_eq!(answer["mode"], "generative", "{answer}");
        assert_eq!(answer["degraded"], false, "{answer}");
        assert_eq!(
            answer["answer"],
            "The tank of the pump holds 5 litres of water. [1]"
        );
        assert!(TEXT.contains(answer["citations"][0]["quote"].as_str().unwrap()));
        assert_eq!(
            (&answer["model"], &answer["usage"]["prompt_tokens"]),
            (&json!("fake-1"), &json!(7))
        );

        api.set(Mood::Inventive);
        let checked = ask(&fleet, "generative", &sequence).await;
        assert_eq!(checked["answer"], answer["answer"], "{checked}");
        assert_eq!(checked["left_out"], 3, "{checked}");
        assert!(checked["confidence"].as_f64() < answer["confidence"].as_f64());

        api.set(Mood::NotFound);
        assert_eq!(ask(&fleet, "auto", &sequence).await["found"], false);
        let calls = api.calls();
        assert_eq!(
            ask(&fleet, "extractive", &sequence).await["mode"],
            "extractive"
        );
        assert_eq!(api.calls(), calls);
        assert!(api.prompts()[0].contains("<passage number=\"1\""));
        fleet.stop().await;
    });
}

#[test]
fn without_the_model_answers_are_extractive_and_say_so() {
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let fleet = fleet(nats, &api, &["openai.chat_model=fake"]).await;
        let sequence = embed(&fleet).await["sequence"].clone();
        for mood in [Mood::CutOff, Mood::Malformed, Mood::Broken, Mood::Broken] {
            api.set(mood);
            let answer = ask(&fleet, "auto", &sequence).await;
            assert_eq!(
                (&answer["mode"], &answer["degraded"]),
                (&json!("extractive"), &json!(true)),
                "{answer}"
            );
            assert_eq!(answer["found"], true);
            let reason = answer["degraded_reason"].as_str().unwrap();
            assert!(!reason.contains("sk-never-shown"), "{reason}");
        }
        // Five failures in a row have opened the breaker: the API is not called any more.
        let calls = api.calls();
        let answer = ask(&fleet, "auto", &sequence).await;
        let reason = answer["degraded_reason"].as_str().unwrap();
        assert!(reason.contains("the breaker of openai"), "{reason}");
        assert_eq!(api.calls(), calls);
        fleet.stop().await;
    });
}

/// A model that is reached, and keeps its reader waiting: at its first word, or in the middle.
#[test]
fn a_model_that_falls_silent_is_not_waited_for() {
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let more = [
            "openai.chat_model=fake",
            "openai.first_token_timeout=700ms",
            "openai.idle_timeout=300ms",
        ];
        let fleet = fleet(nats, &api, &more).await;
        let sequence = embed(&fleet).await["sequence"].clone();
        for (mood, silence) in [
            (Mood::Speechless, "to begin its answer"),
            (Mood::Stalling, "to go on with its answer"),
        ] {
            api.set(mood);
            let calls = api.calls();
            let answer = ask(&fleet, "auto", &sequence).await;
            assert_eq!(
                (&answer["mode"], &answer["degraded"], &answer["found"]),
                (&json!("extractive"), &json!(true), &json!(true)),
                "{answer}"
            );
            let reason = answer["degraded_reason"].as_str().unwrap();
            assert!(reason.contains(silence), "{mood:?}: {reason}");
            // What has begun is not begun anew.
            assert_eq!(api.calls(), calls + 1, "{mood:?}");
        }
        // Silence is a failure of the API's, as its breaker sees it.
        let breakers = fleet.get("/circuit-breakers").await.body;
        let openai = &breakers["circuit_breakers"]["openai"];
        assert_eq!(openai["state"], "closed", "{openai}");
        for _ in 0..3 {
            ask(&fleet, "auto", &sequence).await;
        }
        let calls = api.calls();
        let answer = ask(&fleet, "auto", &sequence).await;
        let reason = answer["degraded_reason"].as_str().unwrap();
        assert!(reason.contains("the breaker of openai"), "{reason}");
        assert_eq!(api.calls(), calls);
        fleet.stop().await;
    });
}

#[test]
fn embeddings_wait_for_a_busy_api_and_end_with_an_empty_purse() {
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let fleet = fleet(nats, &api, &["openai.embedding_model=bag"]).await;
        api.set(Mood::BusyOnce);
        let embedded = embed(&fleet).await;
        assert_eq!(embedded["embedder"], "openai:bag:64");
        assert_eq!(api.calls(), 2);
        let answer = ask(&fleet, "auto", &embedded["sequence"]).await;
        assert_eq!(
            (&answer["retrieval"], &answer["found"]),
            (&json!("hybrid"), &json!(true)),
            "{answer}"
        );
        for (mood, code) in [
            (Mood::NoQuota, "openai_insufficient_quota"),
            (Mood::WrongDimensions, "embedding_dimensions"),
        ] {
            api.set(mood);
            let body = json!({"texts": [format!("Something else for {code}.")]}).to_string();
            let failed = fleet.post("/embed?wait=20s", &body).await.body;
            assert_eq!(failed["error"]["code"], code, "{failed}");
            let id = failed["task_id"].as_str().unwrap();
            let letter = fleet.get(&format!("/dead-letters/{id}")).await;
            assert_eq!(letter.status, 200, "{}", letter.body);
        }
        // A question is answered by its words meanwhile.
        let answer = ask(&fleet, "auto", &embedded["sequence"]).await;
        assert_eq!(
            (&answer["retrieval"], &answer["degraded"]),
            (&json!("lexical"), &json!(true)),
            "{answer}"
        );
        fleet.stop().await;
    });
}

#[test]
fn an_answer_can_be_followed_while_it_is_made() {
    test(async |nats| {
        let api = FakeOpenAi::start().await.unwrap();
        let fleet = fleet(nats, &api, &["openai.chat_model=fake"]).await;
        let sequence = embed(&fleet).await["sequence"].clone();
        let client = Client::connect(nats).await;
        let mut tokens = client
            .nats
            .subscribe("tokens.query.followed")
            .await
            .unwrap();
        client.nats.flush().await.unwrap();
        let body = json!({"query": "How much water does the tank of the pump hold?", "stream": true, "at_least": sequence});
        client
            .publish("tasks.query.normal.followed", body.to_string())
            .await;
        let (mut text, mut number) = (String::new(), 0);
        loop {
            let token: Value =
                serde_json::from_slice(&tokens.next().await.unwrap().payload).unwrap();
            assert_eq!(
                (&token["attempt"], &token["number"]),
                (&json!(1), &json!(number))
            );
            text.push_str(token["text"].as_str().unwrap_or_default());
            number += 1;
            if token["end"] == true {
                break;
            }
        }
        assert!(
            number > 5 && text.starts_with("The tank of the pump holds"),
            "{text}"
        );
        eventually("it has its outcome", async || {
            client.record("followed").await.unwrap_or_default()["status"] == "completed"
        })
        .await;
        fleet.stop().await;
    });
}
