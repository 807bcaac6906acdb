//! The main job on real parts: a page goes in by either entrance, and its result comes out.

use serde_json::{Value, json};

use crate::harness::fleet::{ALL, Fleet};
use crate::harness::{Client, Site, eventually, test};

fn check_result(answer: &Value, page: &str) {
    assert_eq!(answer["status"], "completed", "{answer}");
    let result = &answer["result"];
    assert_eq!(result["url"], page);
    assert_eq!(result["final_url"], page);
    assert_eq!(result["title"], "Page 7");
    assert_eq!(result["content_type"], "text/html");
    assert_eq!(result["links"][0]["text"], "The next page");
    let content = result["content"].as_str().unwrap();
    assert!(content.starts_with("# Pump P-7\n"), "{content}");
    assert!(
        !content.contains("menu") && !content.contains("imprint"),
        "{content}"
    );
    for time in [&result["scraped_at"], &answer["completed_at"]] {
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    assert!(answer["duration_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(answer["retries"], 0);
}

#[test]
fn a_page_goes_in_over_http() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &ALL).await, Site::start().await);
        let body = json!({"url": site.page(7), "brand": "acme", "priority": "HIGH"}).to_string();
        let answer = fleet.post("/scrape?wait=20s", &body).await;
        assert_eq!(answer.status, 200);
        check_result(&answer.body, &site.page(7));
        assert_eq!(answer.body["result"]["brand"], "acme");

        let answer = fleet.post("/scrape", &body).await;
        assert_eq!(answer.body["status"], "queued");
        assert_eq!(answer.body["category"], "scraping");
        let id = answer.body["task_id"].as_str().unwrap();
        assert!(id.starts_with("scrape_"));
        assert_eq!(answer.body["check_url"], format!("/api/hp/tasks/{id}"));
        let later = fleet.get(&format!("/tasks/{id}?wait=20s")).await;
        check_result(&later.body, &site.page(7));
        fleet.stop().await;
    });
}

#[test]
fn a_page_goes_in_from_a_bare_nats_client() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &ALL).await, Site::start().await);
        let client = Client::connect(nats).await;
        let body = json!({"url": site.page(7)}).to_string();
        let computed = client
            .publish("tasks.scraping.normal", body.clone())
            .await
            .sequence;
        client
            .publish("tasks.scraping.bulk.my-own", body.clone())
            .await;
        let headers = [("flotilla-task-id", "in-a-header")];
        client
            .publish_with("tasks.scraping.low", &headers, body)
            .await;
        for id in [format!("scrape_{computed}"), "my-own".to_owned()] {
            let answer = fleet.get(&format!("/tasks/{id}?wait=20s")).await;
            check_result(&answer.body, &site.page(7));
        }
        // An id in a header is known once the task has been recorded.
        eventually("the task with its id in a header is found", async || {
            fleet.get("/tasks/in-a-header").await.body["status"] == "completed"
        })
        .await;
        fleet.stop().await;
    });
}

#[test]
fn a_batch_is_a_task_per_url() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &ALL).await, Site::start().await);
        let urls: Vec<String> = (0..40).map(|n| site.page(n)).collect();
        let answer = fleet
            .post("/scrape/batch", &json!({"urls": urls}).to_string())
            .await;
        assert_eq!((answer.status, &answer.body["count"]), (200, &json!(40)));
        for (n, id) in answer.body["task_ids"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let task = fleet
                .get(&format!("/tasks/{}?wait=20s", id.as_str().unwrap()))
                .await;
            assert_eq!(task.body["result"]["url"], site.page(n));
        }
        assert_eq!(site.visits(), 40);

        let body = json!({"urls": urls[..3]}).to_string();
        let waited = fleet.post("/scrape/batch?wait=20s", &body).await.body;
        assert_eq!(waited["status"], "completed", "{waited}");
        assert_eq!(waited["tasks"][2]["status"], "completed", "{waited}");
        let body = json!({"urls": [format!("{}/slow/8000", site.url)]}).to_string();
        let waited = fleet.post("/scrape/batch?wait=2s", &body).await.body;
        assert_eq!(waited["tasks"][0]["status"], "running", "{waited}");

        let answer = fleet
            .post(
                "/scrape/batch",
                r#"{"urls":["http://a.example/","nonsense"]}"#,
            )
            .await;
        assert_eq!(answer.status, 422);
        assert!(
            answer.body.to_string().contains("urls[1]"),
            "{}",
            answer.body
        );
        fleet.stop().await;
    });
}

#[test]
fn many_waiters_get_their_own_outcome() {
    test(async |nats| {
        let (fleet, site) = (Fleet::start(nats, &ALL).await, Site::start().await);
        let waiters = (0..50).map(async |n| {
            let body = json!({"url": site.page(n)}).to_string();
            let answer = fleet.post("/scrape?wait=30", &body).await;
            assert_eq!(
                answer.body["result"]["url"],
                site.page(n),
                "{}",
                answer.body
            );
        });
        futures::future::join_all(waiters).await;
        fleet.stop().await;
    });
}

#[test]
fn what_cannot_be_scraped_says_why() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        let client = Client::connect(nats).await;
        // Nothing listens there: a retry may help, none is wanted.
        let body = r#"{"url":"http://127.0.0.1:1/","max_retries":0}"#;
        let answer = fleet.post("/scrape?wait=20s", body).await;
        assert_eq!(answer.body["error"]["code"], "connect", "{}", answer.body);
        // What the gateway would have refused is refused by the worker too.
        client
            .publish("tasks.scraping.normal.bad-url", r#"{"url":"ftp://a/"}"#)
            .await;
        client
            .publish(
                "tasks.scraping.normal.private",
                r#"{"url":"http://169.254.169.254/latest"}"#,
            )
            .await;
        for (id, code) in [
            ("bad-url", "invalid_payload"),
            ("private", "address_refused"),
        ] {
            let answer = fleet.get(&format!("/tasks/{id}?wait=20s")).await;
            assert_eq!(
                (&answer.body["status"], &answer.body["error"]["code"]),
                (&json!("failed"), &json!(code))
            );
        }
        fleet.stop().await;
    });
}

#[test]
fn a_restart_of_everything_keeps_everything() {
    test(async |nats| {
        let site = Site::start().await;
        let fleet = Fleet::start(nats, &ALL).await;
        let body = json!({"url": site.page(7)}).to_string();
        let first = fleet.post("/scrape?wait=20s", &body).await.body["task_id"].clone();
        fleet.counted(1).await;
        fleet.stop().await;

        // Nobody works: what is submitted now waits.
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let answer = fleet.post("/scrape", &body).await;
        let second = answer.body["task_id"].clone();
        let waiting = fleet
            .get(&format!("/tasks/{}", second.as_str().unwrap()))
            .await;
        assert_eq!(waiting.body["status"], "queued");
        assert_eq!(
            fleet.get("/queues").await.body["queues"]["scraping_queue"]["size"],
            1
        );
        fleet.stop().await;
        nats.restart().await;

        let fleet = Fleet::start(nats, &ALL).await;
        for id in [first, second] {
            let answer = fleet
                .get(&format!("/tasks/{}?wait=20s", id.as_str().unwrap()))
                .await;
            check_result(&answer.body, &site.page(7));
        }
        fleet.counted(2).await;
        fleet.stop().await;
    });
}

#[test]
fn a_full_queue_is_told_to_everybody() {
    test(async |nats| {
        // Nobody works, so that what is accepted stays.
        let services = ["gateway", "stats"];
        let mut fleet = Fleet::start_with(nats, &services, &["streams.tasks_max=2"]).await;
        let (client, site) = (Client::connect(nats).await, Site::start().await);
        let body = json!({"url": site.page(7)}).to_string();
        let mut accepted = Vec::new();
        for _ in 0..2 {
            accepted.push(fleet.post("/scrape", &body).await.body["task_id"].clone());
        }
        let refused = fleet.post("/scrape", &body).await;
        assert_eq!(refused.status, 429, "{}", refused.body);
        assert!(refused.head.contains("retry-after:"), "{}", refused.head);
        assert!(refused.body["remedy"].is_string());
        let headers = async_nats::HeaderMap::new();
        let refused = client
            .try_publish("tasks.scraping.normal", headers, body)
            .await;
        assert!(refused.unwrap_err().to_string().contains("publish failed"));

        fleet.start_service("scraping").await;
        for id in accepted {
            let answer = fleet
                .get(&format!("/tasks/{}?wait=20s", id.as_str().unwrap()))
                .await;
            check_result(&answer.body, &site.page(7));
        }
        fleet.stop().await;
    });
}
