//! What the server refuses: each attempt is made by somebody who may not and by somebody who may,
//! so that none is refused for another reason.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Secured, User, secured_test};

/// A fleet without workers, a task that waits, and one that has ended.
struct Scene {
    fleet: Fleet,
    waiting: String,
    ended: String,
}

impl Scene {
    async fn set(nats: &Secured) -> Self {
        let fleet = Fleet::start_secured(nats, &["gateway", "stats"]).await;
        let submit = async || {
            let submitted = fleet
                .post("/query?wait=0", r#"{"query":"Is that a secret?"}"#)
                .await;
            submitted.body["task_id"].as_str().unwrap().to_owned()
        };
        let (ended, waiting) = (submit().await, submit().await);
        let cancelled = fleet.post(&format!("/tasks/{ended}/cancel"), "").await;
        assert_eq!(cancelled.body["status"], "cancelled", "{}", cancelled.body);
        Self {
            fleet,
            waiting,
            ended,
        }
    }

    /// What a worker does for its category: to read, to settle and to answer.
    fn work(&self) -> Vec<(String, Value)> {
        let (waiting, ended) = (&self.waiting, &self.ended);
        let sequence = |from: u64| json!({"seq": from, "next_by_subj": "tasks.query.>"});
        let call = |call: &str, body: Value| (format!("$JS.API.{call}"), body);
        let plain = |subject: String| (subject, json!({"answer": "forged"}));
        vec![
            call(
                "CONSUMER.MSG.NEXT.TASKS_QUERY.query_critical",
                json!({"batch": 1, "no_wait": true}),
            ),
            call("CONSUMER.INFO.TASKS_QUERY.query_critical", Value::Null),
            call("DIRECT.GET.TASKS_QUERY", sequence(1)),
            call("STREAM.MSG.GET.TASKS_QUERY", sequence(1)),
            call("STREAM.MSG.DELETE.TASKS_QUERY", json!({"seq": 1})),
            call(
                &format!("DIRECT.GET.RESULTS.results.query.{ended}"),
                Value::Null,
            ),
            // Both forms of an acknowledgement, of what nobody has.
            (
                "$JS.ACK.TASKS_QUERY.query_critical.1.1.1.1.1".to_owned(),
                json!("+WPI"),
            ),
            (
                "$JS.ACK._.x.TASKS_QUERY.query_critical.1.1.1.1.1.y".to_owned(),
                json!("+WPI"),
            ),
            plain(format!("results.query.{waiting}")),
            plain(format!("dead.query.{waiting}")),
            plain(format!("ended.query.{waiting}")),
        ]
    }

    /// What no role does but the admin's.
    fn mischief(&self) -> Vec<(String, Value)> {
        let plain = |subject: String| (subject, json!({"answer": "forged"}));
        let call = |call: &str, body: Value| (format!("$JS.API.{call}"), body);
        vec![
            plain(format!("outcomes.query.{}", self.waiting)),
            plain("_INBOX_gateway.mine".to_owned()),
            call(
                "DIRECT.GET.RESULTS",
                json!({"seq": 1, "next_by_subj": "results.>"}),
            ),
            call(
                "STREAM.MSG.GET.RESULTS",
                json!({"seq": 1, "next_by_subj": "results.>"}),
            ),
            call(
                "CONSUMER.CREATE.TASKS_QUERY.spy",
                json!({"stream_name": "TASKS_QUERY", "config": {}}),
            ),
            call("CONSUMER.DELETE.TASKS_QUERY.query_normal", Value::Null),
            call(
                "STREAM.PURGE.RESULTS",
                json!({"filter": "results.query.none"}),
            ),
            call("STREAM.DELETE.STATS", Value::Null),
        ]
    }
}

async fn all_refused(user: &User, attempts: &[(String, Value)]) {
    for (subject, body) in attempts {
        assert!(
            user.is_refused(subject, body.to_string()).await,
            "{subject} was taken"
        );
    }
}

async fn none_refused(user: &User, attempts: &[(String, Value)]) {
    for (subject, body) in attempts {
        assert!(
            !user.is_refused(subject, body.to_string()).await,
            "{subject} was refused"
        );
    }
}

fn record_of(scene: &Scene) -> String {
    format!("$JS.API.DIRECT.GET.RESULTS.results.query.{}", scene.ended)
}

#[test]
fn a_worker_keeps_to_its_category() {
    secured_test(&[], async |nats| {
        let scene = Scene::set(nats).await;
        let (scraping, query) = (
            nats.user("worker-scraping").await,
            nats.user("worker-query").await,
        );
        let admin = nats.user("admin").await;
        all_refused(&scraping, &scene.work()).await;
        all_refused(&scraping, &scene.mischief()).await;
        all_refused(&query, &scene.mischief()).await;
        for subject in [
            "fleet.workers.query",
            "outcomes.query.*",
            "outcomes.>",
            "results.>",
            "tasks.query.>",
            "tokens.query.*",
            "_INBOX_gateway.>",
            "_INBOX_worker-query.>",
            "_INBOX.>",
            "$JS.ACK.>",
            ">",
        ] {
            assert!(scraping.is_deaf_to(subject).await, "{subject} is heard");
            assert!(!admin.is_deaf_to(subject).await, "{subject}");
        }
        assert!(!scraping.is_deaf_to("fleet.workers.scraping").await);
        assert!(!query.is_deaf_to("fleet.workers.query").await);
        // Nothing has come of it: the task waits, and the outcome is what it was.
        let shown = scene
            .fleet
            .get(&format!("/tasks/{}", scene.waiting))
            .await
            .body;
        assert_eq!(shown["status"], "queued", "{shown}");
        let record = query.ask(&record_of(&scene), "").await.unwrap();
        let record: Value = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(record["status"], "cancelled");
        none_refused(&query, &scene.work()).await;
        none_refused(&admin, &scene.mischief()).await;
        scene.fleet.stop().await;
    });
}

#[test]
fn a_publisher_only_submits() {
    secured_test(&["shop=publisher.query"], async |nats| {
        let scene = Scene::set(nats).await;
        let (shop, admin) = (nats.user("shop").await, nats.user("admin").await);
        let stored = shop
            .ask("tasks.query.low", r#"{"query":"What may I do?"}"#)
            .await;
        let stored: Value = serde_json::from_slice(&stored.unwrap().payload).unwrap();
        assert_eq!(stored["stream"], "TASKS_QUERY", "{stored}");

        all_refused(&shop, &scene.work()).await;
        all_refused(&shop, &scene.mischief()).await;
        let refused = [
            // The work of others, and what a header says where no permission looks.
            "tasks.scraping.normal",
            "schedules.once.mine",
            "due.scraping.normal.mine",
            "control.category.query",
            "control.breaker.openai",
            "fleet.workers.query",
            "fleet.task.get",
            "fleet.task.list",
            "fleet.task.cancel",
            "fleet.queue.pause",
            "fleet.ask.scraping",
            "fleet.events",
            "stats.snapshot",
            "$O.flotilla.M.mine",
            "$O.flotilla.C.mine",
            "$JS.API.STREAM.INFO.TASKS_QUERY",
            "$JS.API.STREAM.NAMES",
        ];
        for subject in refused {
            assert!(shop.is_refused(subject, "{}").await, "{subject} was taken");
        }
        for subject in [
            "outcomes.query.*",
            "results.query.*",
            "tokens.query.*",
            "_INBOX_gateway.>",
            "$SRV.>",
        ] {
            assert!(shop.is_deaf_to(subject).await, "{subject} is heard");
            assert!(!admin.is_deaf_to(subject).await, "{subject}");
        }
        assert!(admin.ask(&record_of(&scene), "").await.is_some());
        assert!(shop.ask(&record_of(&scene), "").await.is_none());
        for subject in refused {
            assert!(!admin.is_refused(subject, "{}").await, "{subject}");
        }
        scene.fleet.stop().await;
    });
}

#[test]
fn a_reader_reads_its_category_and_writes_nothing() {
    secured_test(
        &["page=reader.query", "other=reader.scraping"],
        async |nats| {
            let scene = Scene::set(nats).await;
            let (page, other) = (nats.user("page").await, nats.user("other").await);
            let publisher = nats.user("publisher").await;
            let record = page.ask(&record_of(&scene), "").await.unwrap();
            let record: Value = serde_json::from_slice(&record.payload).unwrap();
            assert_eq!(record["task_id"], scene.ended);
            assert!(other.ask(&record_of(&scene), "").await.is_none());
            assert!(!page.is_deaf_to("outcomes.query.*").await);
            assert!(other.is_deaf_to("outcomes.query.*").await);
            let task = "tasks.query.low";
            assert!(page.is_refused(task, r#"{"query":"May I?"}"#).await);
            assert!(!publisher.is_refused(task, r#"{"query":"May I?"}"#).await);
            assert!(
                page.is_refused(&format!("results.query.{}", scene.ended), "{}")
                    .await
            );
            all_refused(&page, &scene.mischief()).await;
            scene.fleet.stop().await;
        },
    );
}

#[test]
fn a_monitor_looks_and_changes_nothing() {
    secured_test(&[], async |nats| {
        let scene = Scene::set(nats).await;
        let monitor = nats.user("monitor").await;
        let text = async |subject: &str| {
            let answer = monitor.ask(subject, "").await.unwrap();
            String::from_utf8(answer.payload.to_vec()).unwrap()
        };
        assert!(text("FLEET.API.STREAM.NAMES").await.contains("TASKS_QUERY"));
        assert!(
            text("FLEET.API.CONSUMER.INFO.TASKS_QUERY.query_low")
                .await
                .contains("num_pending")
        );
        assert!(text("fleet.stats").await.contains("instances"));
        assert!(text("$SRV.PING").await.contains("flotilla"));
        all_refused(&monitor, &scene.mischief()).await;
        all_refused(&monitor, &scene.work()).await;
        for subject in [
            "tasks.query.low",
            "control.category.query",
            "control.breaker.openai",
            "fleet.events",
            "fleet.workers.query",
            "documents.a.b",
            "$JS.API.STREAM.UPDATE.TASKS_QUERY",
            "$JS.API.STREAM.CREATE.MINE",
            "$JS.API.CONSUMER.CREATE.CONTROL",
        ] {
            assert!(
                monitor.is_refused(subject, "{}").await,
                "{subject} was taken"
            );
        }
        assert!(monitor.is_deaf_to("outcomes.query.*").await);
        scene.fleet.stop().await;
    });
}

#[test]
fn answers_go_to_whoever_asked() {
    secured_test(&[], async |nats| {
        let scene = Scene::set(nats).await;
        let gateway = nats.user("gateway").await;
        let worker = nats.user("worker-query").await;
        let calls = "fleet.workers.query";
        // One subscription alone: to the server a question that is heard twice has had its answer.
        let mut heard = worker.nats.subscribe(calls).await.unwrap();
        worker.everything_is_heard().await;
        let answering = async {
            let reply = heard.next().await.unwrap().reply.unwrap();
            worker
                .nats
                .publish(reply.clone(), "yes".into())
                .await
                .unwrap();
            reply
        };
        let asking = gateway.ask(calls, r#"{"is_running":"x"}"#);
        let (answer, reply) = tokio::join!(asking, answering);
        assert_eq!(&*answer.unwrap().payload, b"yes");
        // Once, and to nobody who has not asked.
        assert!(worker.is_refused(&reply, "again").await);
        assert!(worker.is_refused("_INBOX_gateway.guessed", "yes").await);
        scene.fleet.stop().await;
    });
}

/// The broker answers wherever a question wants it to, and permissions do not look there. From
/// outside nothing gets in by that; from within, what gets there is nobody's word.
#[test]
fn the_brokers_answers_are_no_way_in() {
    let users = ["shop=publisher.query", "page=reader.query"];
    secured_test(&users, async |nats| {
        let scene = Scene::set(nats).await;
        let admin = nats.user("admin").await;
        let stored = || async {
            let record = admin.ask(&record_of(&scene), "").await.unwrap();
            record.payload
        };
        let before = stored().await;
        let victim = format!("results.query.{}", scene.ended);
        let shop = nats.user("shop").await;
        shop.tell("tasks.query.low", &victim, r#"{"query":"A PubAck?"}"#)
            .await;
        let page = nats.user("page").await;
        page.tell(&record_of(&scene), &victim, "").await;
        let monitor = nats.user("monitor").await;
        monitor.tell("FLEET.API.STREAM.NAMES", &victim, "").await;
        assert_eq!(stored().await, before);

        // A worker of another category, with a record that is his to write.
        let forged = br#"{"task_id":"x","category":"query","status":"completed"}"#;
        let scraping = nats.user("worker-scraping").await;
        let own = "results.scraping.mine";
        scraping.ask(own, forged.as_slice()).await.unwrap();
        let path = format!("/tasks/{}", scene.ended);
        let look_up = format!("$JS.API.DIRECT.GET.RESULTS.{own}");
        scraping.tell(&look_up, &victim, "").await;
        let shown = scene.fleet.get(&path).await;
        assert_ne!(shown.body["status"], "completed", "{}", shown.body);
        scene.fleet.stop().await;
    });
}
