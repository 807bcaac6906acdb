//! Who may do what over HTTP: keys and their scopes, rates and quotas; pages of other origins.

use std::path::Path;

use flotilla_common::service::{Context, Settings};
use flotilla_gateway::keys::{Keys, Scope};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::fleet::{Fleet, free_port};
use crate::harness::sse::Events;
use crate::harness::{Client, Nats, eventually, http, test};

const SERVICES: [&str; 2] = ["gateway", "stats"];
const TASK: &str = r#"{"query":"q"}"#;

fn add(keys: &mut Keys, name: &str, scopes: &[Scope]) -> String {
    let scopes = scopes.iter().copied().collect();
    keys.add(name, scopes, Timestamp::now()).unwrap().0
}

async fn guarded(nats: &Nats, file: &Path, more: &[&str]) -> Fleet {
    let file = format!("gateway.keys_file={}", file.display());
    let settings: Vec<&str> = more.iter().copied().chain([file.as_str()]).collect();
    Fleet::start_with(nats, &SERVICES, &settings).await
}

async fn call(fleet: &Fleet, key: &str, method: &str, path: &str) -> Events {
    let header = match key {
        "" => String::new(),
        key => format!("authorization: Bearer {key}\r\n"),
    };
    let body = if method == "POST" { TASK } else { "" };
    Events::open(&fleet.address, method, path, &header, body).await
}

#[test]
fn a_key_opens_what_its_scopes_say_and_keys_change_without_a_restart() {
    test(async |nats| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let mut keys = Keys::default();
        let reader = add(&mut keys, "reader", &[Scope::Read]);
        let submitter = add(&mut keys, "submitter", &[Scope::Read, Scope::Submit]);
        let manager = add(&mut keys, "manager", &[Scope::Manage]);
        keys.write(&file).unwrap();
        let fleet = guarded(nats, &file, &[]).await;
        let status = async |key: &str, method: &str, path: &str| {
            call(&fleet, key, method, path).await.status
        };

        let refused = call(&fleet, "", "GET", "/queues").await;
        assert_eq!(refused.status, 401);
        assert!(refused.head.contains("www-authenticate: bearer"));
        let problem = refused.body().await;
        assert_eq!(problem["type"], "urn:flotilla:problem:unauthenticated");
        assert!(problem["remedy"].is_string());
        assert_eq!(status("flotilla_wrong", "GET", "/queues").await, 401);
        assert_ne!(status("", "GET", "/health").await, 401, "for probes");

        let shown = call(&fleet, &reader, "GET", "/queues").await;
        assert_eq!(shown.status, 200);
        assert!(
            shown.head.contains("ratelimit: \"key\";r="),
            "{}",
            shown.head
        );
        assert_eq!(status(&reader, "POST", "/query?wait=0").await, 403);
        assert_eq!(status(&submitter, "POST", "/query?wait=0").await, 200);
        let pause = "/queues/query/pause";
        assert_eq!(status(&submitter, "POST", pause).await, 403);
        // Its body is none for a pause: what the key allows was settled before.
        assert_eq!(status(&manager, "POST", pause).await, 422);
        assert_eq!(status(&manager, "GET", "/queues").await, 403);

        let now = Timestamp::now();
        let rotated = keys.rotate("reader", now, now).unwrap();
        keys.write(&file).unwrap();
        eventually("the new key opens, and the old one no more", async || {
            status(&rotated, "GET", "/queues").await == 200
                && status(&reader, "GET", "/queues").await == 401
        })
        .await;
        // Half a file locks nobody out.
        std::fs::write(&file, "{").unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(status(&rotated, "GET", "/queues").await, 200);
        fleet.stop().await;
    });
}

#[test]
fn a_key_has_its_rate_and_its_share_of_the_queue() {
    test(async |nats| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let mut keys = Keys::default();
        let scopes = [Scope::Read, Scope::Submit];
        let fast = add(&mut keys, "fast", &scopes);
        let slow = add(&mut keys, "slow", &scopes);
        let modest = add(&mut keys, "modest", &scopes);
        keys.keys[1].requests_per_second = Some(0.01);
        keys.keys[2].backlog_max = Some(2);
        keys.write(&file).unwrap();
        let fleet = guarded(nats, &file, &[]).await;

        assert_eq!(call(&fleet, &slow, "GET", "/queues").await.status, 200);
        let refused = call(&fleet, &slow, "GET", "/queues").await;
        assert_eq!(refused.status, 429);
        assert!(refused.head.contains("retry-after: "), "{}", refused.head);
        assert!(
            refused.head.contains("ratelimit: \"key\";r=0"),
            "{}",
            refused.head
        );
        let problem = refused.body().await;
        assert_eq!(problem["type"], "urn:flotilla:problem:rate-limited");

        for _ in 0..2 {
            let taken = call(&fleet, &modest, "POST", "/query?wait=0").await;
            assert_eq!(taken.status, 200);
        }
        let refused = call(&fleet, &modest, "POST", "/query?wait=0").await;
        assert_eq!(refused.status, 429);
        assert!(refused.head.contains("retry-after: "), "{}", refused.head);
        let problem = refused.body().await;
        assert_eq!(problem["type"], "urn:flotilla:problem:quota-exceeded");
        let other = call(&fleet, &fast, "POST", "/query?wait=0").await;
        assert_eq!(other.status, 200, "it has no quota");
        fleet.stop().await;
    });
}

/// It can remove what others have stored.
#[test]
fn maintenance_needs_more_than_submitting_in_whatever_way_it_comes() {
    test(async |nats| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let mut keys = Keys::default();
        let submitter = add(&mut keys, "submitter", &[Scope::Submit]);
        let manager = add(&mut keys, "manager", &[Scope::Submit, Scope::Manage]);
        keys.write(&file).unwrap();
        let fleet = guarded(nats, &file, &[]).await;
        let client = Client::connect(nats).await;
        let order = json!({"operation": "retire", "brand": "acme"});
        let mut task = order.clone();
        task["category"] = "maintenance_queue".into();
        let calls = [
            ("/maintenance", order.clone()),
            ("/categories/maintenance/tasks", order.clone()),
            ("/categories/%6Daintenance_queue/tasks", order.clone()),
            ("/tasks/bulk", json!({ "tasks": [task] })),
            (
                "/tasks/bulk?category=maintenance",
                json!({ "tasks": [order] }),
            ),
        ];
        let send = async |key: &str, path: &str, body: &Value| {
            let header = format!("authorization: Bearer {key}\r\n");
            let body = body.to_string();
            let answer = Events::open(&fleet.address, "POST", path, &header, &body).await;
            (answer.status, answer.body().await)
        };
        for (path, body) in &calls {
            let (status, problem) = send(&submitter, path, body).await;
            assert_eq!(status, 403, "{path}: {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("no scope manage"), "{path}: {detail}");
        }
        let waiting = async || client.state("TASKS_MAINTENANCE").await.messages;
        assert_eq!(waiting().await, 0);
        for (path, body) in &calls {
            assert_eq!(send(&manager, path, body).await.0, 200, "{path}");
        }
        assert_eq!(waiting().await, calls.len() as u64);
        let within = json!({"operations": [{"category": "maintenance", "payload": calls[0].1}]});
        for key in [&submitter, &manager] {
            assert_eq!(send(key, "/batch", &within).await.0, 422);
        }
        fleet.stop().await;
    });
}

#[test]
fn a_batch_counts_by_its_urls_and_is_taken_as_a_whole() {
    test(async |nats| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let mut keys = Keys::default();
        let slow = add(&mut keys, "slow", &[Scope::Submit]);
        let modest = add(&mut keys, "modest", &[Scope::Submit]);
        let large = add(&mut keys, "large", &[Scope::Submit]);
        keys.keys[0].requests_per_second = Some(0.01);
        keys.keys[1].backlog_max = Some(9);
        keys.keys[2].requests_per_second = Some(0.01);
        keys.write(&file).unwrap();
        // A slower key may send as much less at once: 4.
        let fleet = guarded(nats, &file, &["gateway.requests_burst=40000"]).await;
        let client = Client::connect(nats).await;
        let waiting = async || client.state("TASKS_SCRAPING").await.messages;
        let send = async |key: &str, urls: usize| {
            let header = format!("authorization: Bearer {key}\r\n");
            let urls: Vec<_> = (0..urls).map(|n| format!("http://a/{n}")).collect();
            let body = json!({ "urls": urls }).to_string();
            let answer = Events::open(&fleet.address, "POST", "/scrape/batch", &header, &body);
            let answer = answer.await;
            (answer.status, answer.head.clone(), answer.body().await)
        };
        let (status, head, problem) = send(&slow, 2).await;
        assert_eq!((status, waiting().await), (200, 2), "{problem}");
        assert!(head.contains("ratelimit: \"key\";r=2"), "{head}");
        // Of more than ever come at once as many have to be there as can be.
        let (status, _, problem) = send(&slow, 5).await;
        assert_eq!((status, waiting().await), (429, 2), "{problem}");
        let (status, _, problem) = send(&large, 5).await;
        assert_eq!((status, waiting().await), (200, 7), "{problem}");
        assert_eq!(send(&large, 1).await.0, 429);

        let (status, head, problem) = send(&modest, 3).await;
        assert_eq!((status, waiting().await), (429, 7), "{problem}");
        assert_eq!(problem["type"], "urn:flotilla:problem:quota-exceeded");
        assert!(head.contains("retry-after: "), "{head}");
        let stream = client.jetstream.get_stream("TASKS_SCRAPING").await;
        stream.unwrap().purge().await.unwrap();
        eventually("there is room for nine again", async || {
            send(&modest, 10).await.0 == 429 && send(&modest, 9).await.0 == 200
        })
        .await;
        assert_eq!(waiting().await, 9);
        fleet.stop().await;
    });
}

#[test]
fn beyond_this_machine_nobody_is_served_without_a_key() {
    test(async |nats| {
        let start = async |more: &[String]| {
            let mut set = vec![
                format!("nats.url={}", nats.url()),
                format!("gateway.listen=0.0.0.0:{}", free_port()),
            ];
            set.extend_from_slice(more);
            let settings = Settings::load(None, std::iter::empty(), &set).unwrap();
            let stop = CancellationToken::new();
            let config = settings.section("gateway").unwrap();
            let context = Context::new(settings, stop.clone());
            let readiness = context.readiness.clone();
            let running = tokio::spawn(flotilla_gateway::run(context, config));
            tokio::select! {
                () = readiness.wait(1) => stop.cancel(),
                () = async { while !running.is_finished() { tokio::task::yield_now().await } } => {}
            }
            running.await.unwrap()
        };
        let error = start(&[]).await.unwrap_err().to_string();
        assert!(error.contains("flotilla keys new"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let setting = format!("gateway.keys_file={}", file.display());
        Keys::default().write(&file).unwrap();
        let error = start(std::slice::from_ref(&setting)).await.unwrap_err();
        assert!(error.to_string().contains("no valid key"), "{error}");
        let mut keys = Keys::default();
        add(&mut keys, "one", &[Scope::Read]);
        keys.write(&file).unwrap();
        start(&[setting]).await.unwrap();
        start(&["gateway.open_to_all=true".to_owned()])
            .await
            .unwrap();
    });
}

#[test]
fn a_page_of_another_origin_changes_nothing_unless_it_is_allowed() {
    test(async |nats| {
        let settings = ["gateway.cors_origins=[\"https://app.example.com\"]"];
        let fleet = Fleet::start_with(nats, &SERVICES, &settings).await;
        let send = async |method: &str, origin: &str, more: &str| {
            let headers = format!("origin: {origin}\r\n{more}");
            Events::open(&fleet.address, method, "/query?wait=0", &headers, TASK).await
        };
        let evil = send("POST", "https://evil.example", "").await;
        assert_eq!(evil.status, 403);
        assert!(!evil.head.contains("access-control"), "{}", evil.head);
        assert_eq!(
            evil.body().await["type"],
            json!("urn:flotilla:problem:forbidden")
        );
        let own = send("POST", &format!("http://{}", fleet.address), "").await;
        assert_eq!(own.status, 200);

        let asked = "access-control-request-method: POST\r\n";
        let question = send("OPTIONS", "https://app.example.com", asked).await;
        assert_eq!(question.status, 204);
        assert!(
            question
                .head
                .contains("access-control-allow-methods: get, post")
        );
        let allowed = send("POST", "https://app.example.com", "").await;
        assert_eq!(allowed.status, 200);
        let header = "access-control-allow-origin: https://app.example.com";
        assert!(allowed.head.contains(header), "{}", allowed.head);
        let question = send("OPTIONS", "https://evil.example", asked).await;
        assert!(
            !question.head.contains("access-control"),
            "{}",
            question.head
        );
        fleet.stop().await;
    });
}

/// A browser takes a page and this machine for one where the page's name was led here.
#[test]
fn without_keys_this_machine_goes_by_its_own_names_alone() {
    test(async |nats| {
        let settings = ["gateway.cors_origins=[\"https://app.example.com\"]"];
        let mut fleet = Fleet::start_with(nats, &["gateway"], &settings).await;
        let port = fleet.address.rsplit(':').next().unwrap().to_owned();
        let send = async |fleet: &Fleet, method: &str, host: &str| {
            let head = format!(
                "{method} /api/hp/query?wait=0 HTTP/1.1\r\norigin: http://{host}\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            );
            http::send_as(&fleet.address, &head, TASK).await
        };
        let evil = format!("evil.example:{port}");
        for method in ["POST", "GET"] {
            let refused = send(&fleet, method, &evil).await;
            assert_eq!(refused.status, 403, "{}", refused.body);
            let detail = refused.body["detail"].as_str().unwrap();
            assert!(detail.contains(&evil), "{detail}");
        }
        for host in [&format!("localhost:{port}"), "[::1]:1", "app.example.com"] {
            let taken = send(&fleet, "POST", host).await;
            assert_eq!(taken.status, 200, "{}", taken.body);
        }
        fleet.stop_service("gateway").await;
        let settings = ["gateway.open_to_all=true"];
        fleet = Fleet::start_with(nats, &["gateway"], &settings).await;
        let guarded = send(&fleet, "POST", "fleet.example").await;
        assert_eq!(guarded.status, 200, "{}", guarded.body);
        fleet.stop().await;
    });
}
