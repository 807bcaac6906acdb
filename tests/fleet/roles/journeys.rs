//! Everything that the fleet does, each service with no more rights than its role has: the server
//! refuses none of it, in whatever order the services start.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::fleet::{EVERYTHING, Fleet};
use crate::harness::{Secured, Site, eventually, secured_test};

async fn done(fleet: &Fleet, path: &str, body: &Value) -> Value {
    let (path, body) = (format!("{path}?wait=60s"), body.to_string());
    let answer = fleet.post(&path, &body).await.body;
    assert_eq!(answer["status"], "completed", "{answer}");
    answer["result"].clone()
}

async fn outcome(fleet: &Fleet, id: &Value) -> Value {
    let path = format!("/tasks/{}?wait=60s", id.as_str().unwrap());
    fleet.get(&path).await.body
}

#[track_caller]
fn nothing_was_refused(nats: &Secured) {
    assert_eq!(nats.refusals(), [""; 0]);
}

#[test]
fn pages_become_answers() {
    secured_test(&[], async |nats| {
        let fleet = Fleet::start_secured(nats, &EVERYTHING).await;
        let site = Site::start().await;
        let page = json!({"url": site.page(7), "brand": "acme"});
        let scraped = done(&fleet, "/scrape", &page).await;
        let embedded = outcome(&fleet, &scraped["embed_task_id"]).await;
        let question = json!({
            "query": "What is pump P-7?", "brand": "acme",
            "at_least": embedded["result"]["sequence"],
        });
        let answer = done(&fleet, "/query", &question).await;
        assert_eq!(answer["sources"], json!([site.page(7)]), "{answer}");

        // A site's pages are children; a batch has some of every category.
        let discover = json!({"url": site.page(1), "discover": {"pages_max": 2}});
        done(&fleet, "/scrape", &discover).await;
        let manifest = json!({
            "urls": [site.page(3)],
            "documents": [{"id": "manual", "text": "Refill the tank."}],
            "operations": [{"category": "query", "payload": {"query": "How do I refill the tank?"}}],
        });
        let report = done(&fleet, "/batch", &manifest).await;
        assert_eq!(report["done"], 3, "{report}");

        // No message takes that much: it travels as an object.
        let text = "The warranty of the pump lasts 36 months. ".repeat(28_000);
        let large = json!({"document": {"id": "large", "text": text}, "brand": "acme"});
        done(&fleet, "/embed", &large).await;
        nothing_was_refused(nats);
        fleet.stop().await;
        nothing_was_refused(nats);
    });
}

#[test]
fn maintenance_does_its_work() {
    secured_test(&[], async |nats| {
        let services = ["gateway", "stats", "embedding", "query", "maintenance"];
        let fleet = Fleet::start_secured(nats, &services).await;
        let document =
            json!({"document": {"id": "a", "text": "Refill the tank."}, "brand": "acme"});
        done(&fleet, "/embed", &document).await;
        let reindex = done(&fleet, "/maintenance", &json!({"operation": "reindex"})).await;
        assert!(reindex.is_object(), "{reindex}");
        for operation in ["verify", "probe"] {
            done(&fleet, "/maintenance", &json!({"operation": operation})).await;
        }
        let retire = json!({"operation": "retire", "brand": "acme"});
        assert_eq!(done(&fleet, "/maintenance", &retire).await["retired"], 1);
        done(&fleet, "/maintenance", &json!({"operation": "expire"})).await;
        let repair = json!({"operation": "verify", "repair": true});
        done(&fleet, "/maintenance", &repair).await;
        fleet.stop().await;
        nothing_was_refused(nats);
    });
}

#[test]
fn tasks_are_cancelled_put_off_and_run_again() {
    secured_test(&[], async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let mut fleet = Fleet::start_secured(nats, &services).await;
        let site = Site::start().await;
        let page = |more: Value| {
            let mut body = json!({"url": site.page(1), "embed": false});
            let fields = body.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            body.to_string()
        };
        let ends = async |path: &str, body: &str| {
            let answer = fleet.post(path, body).await;
            assert!(
                answer.status < 300,
                "{path}: {} {}",
                answer.status,
                answer.body
            );
            answer.body
        };
        // One that waits, one that lies ahead, one that has failed.
        ends("/queues/scraping/pause", "{}").await;
        let waits = ends("/scrape", &page(json!({}))).await["task_id"].clone();
        let later = ends("/scrape", &page(json!({"delay": "1h"}))).await["task_id"].clone();
        for id in [&waits, &later] {
            let path = format!("/tasks/{}/cancel", id.as_str().unwrap());
            assert_eq!(ends(&path, "").await["status"], "cancelled");
        }
        ends("/queues/scraping/resume", "{}").await;
        let again = ends(&format!("/tasks/{}/retry", waits.as_str().unwrap()), "").await;
        assert_eq!(
            outcome(&fleet, &again["task_id"]).await["status"],
            "completed"
        );
        let nobody = json!({"url": "http://127.0.0.1:1/", "max_retries": 0});
        let failed = ends("/scrape?wait=60s", &page(nobody)).await;
        let letter = format!("/dead-letters/{}", failed["task_id"].as_str().unwrap());
        assert_eq!(fleet.get(&letter).await.status, 200);
        ends(&format!("{letter}/requeue"), "").await;
        // One that fires soon, and one that recurs.
        let soon = ends("/scrape", &page(json!({"delay": 1}))).await;
        assert_eq!(
            outcome(&fleet, &soon["task_id"]).await["status"],
            "completed"
        );
        let nightly = json!({"id": "nightly", "category": "scraping", "cron": "0 3 * * *",
            "payload": {"url": site.page(2)}});
        ends("/schedules", &nightly.to_string()).await;
        let removed = fleet.request("DELETE", "/schedules/nightly", "").await;
        assert!(removed.status < 300, "{}", removed.body);
        // What a worker that is killed leaves behind goes on elsewhere.
        let slow = json!({"url": format!("{}/slow/2000", site.url)});
        let slow = ends("/scrape", &page(slow)).await["task_id"].clone();
        eventually("it runs", async || {
            outcome_now(&fleet, &slow).await == "running"
        })
        .await;
        fleet.kill_service("scraping");
        fleet.start_service("scraping").await;
        assert_eq!(outcome(&fleet, &slow).await["status"], "completed");
        fleet.stop().await;
        nothing_was_refused(nats);
    });
}

async fn outcome_now(fleet: &Fleet, id: &Value) -> Value {
    let path = format!("/tasks/{}", id.as_str().unwrap());
    fleet.get(&path).await.body["status"].clone()
}

#[test]
fn operators_see_and_set() {
    secured_test(&[], async |nats| {
        let services = ["gateway", "stats", "scraping", "query", "embedding"];
        let fleet = Fleet::start_secured(nats, &services).await;
        let site = Site::start().await;
        done(&fleet, "/scrape", &json!({"url": site.page(1)})).await;
        for path in [
            "/health",
            "/stats",
            "/stats/series",
            "/workers",
            "/queues",
            "/circuit-breakers",
            "/tasks?state=completed",
            "/tasks?state=queued",
            "/tasks?state=scheduled",
            "/dead-letters",
            "/schedules",
            "/documents",
        ] {
            let answer = fleet.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        for path in [
            "/circuit-breakers/chromadb/open",
            "/circuit-breakers/chromadb/reset",
        ] {
            let answer = fleet.post(path, "").await;
            assert!(answer.status < 300, "{path}: {}", answer.body);
        }
        eventually("health is heard of", async || {
            fleet.get("/health").await.body["workers"]["healthy"] != json!(0)
        })
        .await;
        fleet.stop().await;
        nothing_was_refused(nats);
    });
}

#[test]
fn services_start_in_any_order() {
    secured_test(&[], async |nats| {
        let services = ["scraping", "stats", "gateway"];
        let mut fleet = Fleet::secured(nats, &services);
        let early = ["scraping", "stats"].map(|name| fleet.launch(name));
        // There is nothing yet that they could work on, and they may not make it.
        let ready = async || {
            for readiness in &early {
                readiness.wait(1).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_millis(700), ready()).await;
        assert!(waited.is_err(), "ready without streams");
        fleet.start_service("gateway").await;
        ready().await;
        let site = Site::start().await;
        let page = json!({"url": site.page(1), "embed": false});
        done(&fleet, "/scrape", &page).await;
        fleet.stop().await;
        nothing_was_refused(nats);
    });
}

/// A worker may not make streams: what somebody deletes the gateway makes anew, and work goes on.
#[test]
fn what_is_deleted_is_made_anew() {
    secured_test(&[], async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let mut fleet = Fleet::secured_with(nats, &services, &["worker.deaf_after=2s"]);
        for service in services {
            fleet.start_service(service).await;
        }
        let site = Site::start().await;
        let page = json!({"url": site.page(1), "embed": false});
        done(&fleet, "/scrape", &page).await;
        let admin = nats.user("admin").await;
        for stream in ["TASKS_SCRAPING", "RESULTS"] {
            let deleted = admin
                .ask(&format!("$JS.API.STREAM.DELETE.{stream}"), "")
                .await;
            let answer: Value = serde_json::from_slice(&deleted.unwrap().payload).unwrap();
            assert_eq!(answer["success"], true, "{answer}");
        }
        eventually("a task is accepted, and done", async || {
            let answer = fleet.post("/scrape?wait=10s", &page.to_string()).await;
            answer.body["status"] == "completed"
        })
        .await;
        fleet.stop().await;
    });
}
