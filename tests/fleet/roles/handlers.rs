//! A category that others serve: the bridge has its worker's role, and whoever does the work one
//! of its own.

use serde_json::json;

use crate::harness::fleet::Fleet;
use crate::harness::foreign::Foreign;
use crate::harness::secured_test;

#[test]
fn a_handler_does_the_work_of_its_category_and_nothing_else() {
    secured_test(&["helper=handler.query"], async |nats| {
        let settings = [
            "fleet.categories=[\"query\"]",
            "bridge.categories=[\"query\"]",
        ];
        let services = ["gateway", "stats", "bridge"];
        let mut fleet = Fleet::secured_with(nats, &services, &settings);
        for service in services {
            fleet.start_service(service).await;
        }
        let helper = nats.user("helper").await;
        let mut handler = Foreign::serve_by(helper.nats.clone(), "query").await;
        let body = r#"{"query":"Who does this?"}"#;
        let submitted = fleet.post("/query?wait=0", body).await;
        let handed = handler.next().await;
        let progress = json!({"percent": 50, "message": "half"});
        handed.say("progress", progress).await;
        handed.done(json!({"answer": "somebody else"})).await;
        let id = submitted.body["task_id"].as_str().unwrap();
        let outcome = fleet.get(&format!("/tasks/{id}?wait=20s")).await;
        assert_eq!(outcome.body["status"], "completed", "{}", outcome.body);
        assert_eq!(outcome.body["result"]["answer"], "somebody else");

        // A task that is cancelled is told to it.
        let submitted = fleet.post("/query?wait=0", body).await;
        handler.next().await;
        let id = submitted.body["task_id"].as_str().unwrap();
        fleet.post(&format!("/tasks/{id}/cancel"), "").await;
        assert_eq!(handler.stopped().await.0, id);
        assert_eq!(nats.refusals(), Vec::<String>::new());

        let admin = nats.user("admin").await;
        for subject in ["handlers.embedding", "handlers.>", "outcomes.query.*"] {
            assert!(helper.is_deaf_to(subject).await, "{subject}");
            assert!(!admin.is_deaf_to(subject).await, "{subject}");
        }
        let record = format!("results.query.{id}");
        let get = format!("$JS.API.DIRECT.GET.RESULTS.{record}");
        for subject in ["tasks.query.high.mine", &record, &get, "handlers.query"] {
            assert!(helper.is_refused(subject, "{}").await, "{subject}");
            assert!(!admin.is_refused(subject, "{}").await, "{subject}");
        }
        fleet.stop().await;
    });
}
