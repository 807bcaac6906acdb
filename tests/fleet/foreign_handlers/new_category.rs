//! A category that the settings define, in programs of its own: the process knows it for good.

use std::process::Stdio;

use serde_json::json;

use crate::harness::fleet::free_port;
use crate::harness::foreign::{Foreign, because};
use crate::harness::{Client, Nats, command_line, eventually, http, test};

const DEFINED: [&str; 4] = [
    "--set=categories.translate.slots=2",
    "--set=categories.translate.id_prefix=tr",
    "--set=categories.translate.priority=low",
    "--set=fleet.categories=[\"translate\",\"batch\"]",
];

struct Fleet {
    address: String,
    _process: tokio::process::Child,
}

impl Fleet {
    async fn start(nats: &Nats) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let url = nats.url();
        let mut args = vec!["up", "--nats-url", &url, "--listen", &address];
        args.extend(DEFINED);
        args.push("--set=stats.alive_within=5s");
        let mut command = command_line::flotilla(&args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        eventually("the fleet is healthy", async || {
            let is_up = tokio::net::TcpStream::connect(&address).await.is_ok();
            is_up && http::get(&address, "/api/hp/health").await.status == 200
        })
        .await;
        Self {
            address,
            _process: process,
        }
    }

    async fn get(&self, path: &str) -> serde_json::Value {
        http::get(&self.address, &format!("/api/hp{path}"))
            .await
            .body
    }

    async fn post(&self, path: &str, body: &str) -> http::Answer {
        http::post(&self.address, &format!("/api/hp{path}"), body).await
    }

    async fn command(&self, args: &[&str]) -> command_line::Ran {
        let server = format!("http://{}", self.address);
        let mut all = vec!["--server", &server];
        all.extend(args);
        command_line::run(&all).await
    }
}

#[test]
fn a_category_is_configuration() {
    test(async |nats| {
        let fleet = Fleet::start(nats).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "translate").await;

        // Over HTTP: an object with its terms, anything else as it is.
        let submitted = r#"{"text": "Guten Morgen", "priority": "HIGH", "task_id": "mine"}"#;
        let answer = fleet.post("/categories/translate/tasks", submitted).await;
        assert_eq!(
            (answer.status, &answer.body["category"]),
            (200, &json!("translate"))
        );
        let handed = handler.next().await;
        assert_eq!(
            (handed.id(), handed.header("Flotilla-Priority")),
            ("mine", "high")
        );
        assert_eq!(handed.json(), json!({"text": "Guten Morgen"}));
        handed.done(json!({"text": "Good morning"})).await;
        let view = fleet.get("/tasks/mine?wait=10s").await;
        assert_eq!(view["result"]["text"], "Good morning");
        let answer = fleet
            .post("/categories/translate_queue/tasks", "[1, 2]")
            .await;
        let id = answer.body["task_id"].as_str().unwrap().to_owned();
        assert!(id.starts_with("tr_"), "{id}");
        let handed = handler.next().await;
        assert_eq!(
            (handed.json(), handed.header("Flotilla-Priority")),
            (json!([1, 2]), "low")
        );
        handed.say("reject", because("too_short")).await;

        // From any client, and as an item of a batch.
        let ack = client.publish("tasks.translate.normal", "raw").await;
        let handed = handler.next().await;
        assert_eq!(handed.id(), format!("tr_{}", ack.sequence));
        handed.done(json!("roh")).await;
        let batch = r#"{"operations": [{"category": "translate", "payload": {"text": "a"}}]}"#;
        let batch = fleet.post("/batch", batch).await.body;
        handler.next().await.done(json!("b")).await;
        let batch = batch["task_id"].as_str().unwrap();
        let ended = fleet.get(&format!("/tasks/{batch}?wait=20s")).await;
        assert_eq!(ended["status"], "completed", "{ended}");

        // It is shown wherever categories are.
        let categories = fleet.get("/categories").await;
        let ours = &categories["categories"][5];
        assert_eq!(
            (&ours["name"], &ours["slots"]),
            (&json!("translate"), &json!(2))
        );
        assert_eq!(
            fleet.get("/queues").await["queues"]["translate_queue"]["size"],
            0
        );
        let workers = fleet.get("/workers").await;
        assert_eq!(workers["workers"]["translate"]["slots"], 2);
        eventually("its tasks are counted", async || {
            fleet.get("/stats").await["by_category"]["translate"]["completed"] == 3
        })
        .await;
        eventually("its tasks are found", async || {
            let found = fleet.get("/tasks?category=translate&state=failed").await;
            found["tasks"][0]["task_id"] == id.as_str()
        })
        .await;
        let letters = fleet.get("/dead-letters?category=translate").await;
        assert_eq!(letters["dead_letters"][0]["reason"]["code"], "too_short");
        let description = http::get(&fleet.address, "/api/openapi.json").await.body;
        assert!(description.to_string().contains("\"translate\""));
        let unknown = fleet.post("/categories/transalte/tasks", "{}").await;
        assert!(
            unknown.body["detail"]
                .as_str()
                .unwrap()
                .contains("maintenance, translate")
        );
        assert!(unknown.status >= 400);
    });
}

#[test]
fn the_command_line_knows_it_by_its_name() {
    test(async |nats| {
        let fleet = Fleet::start(nats).await;
        let client = Client::connect(nats).await;
        let mut handler = Foreign::serve(&client, "translate").await;
        let (ran, handed) = tokio::join!(
            fleet.command(&["submit", "translate", "text=Hallo", "--wait"]),
            async {
                let handed = handler.next().await;
                handed.done(json!({"text": "Hello"})).await;
                handed.json()
            }
        );
        ran.ends_with(0).says("Hello");
        assert_eq!(handed, json!({"text": "Hallo"}));
        let ran = fleet.command(&["queues", "pause", "translate"]).await;
        ran.ends_with(0).says("translate is paused");
        let ran = fleet.command(&["queues"]).await;
        ran.ends_with(0).says("translate");
        fleet
            .command(&["queues", "resume", "translate"])
            .await
            .ends_with(0);
        let create = [
            "schedules",
            "create",
            "translate",
            "--cron",
            "@every 1s",
            "text=x",
            "--id",
            "often",
        ];
        fleet.command(&create).await.ends_with(0).says("translate");
        let run = handler.next().await;
        assert!(run.id().starts_with("tr_"), "{}", run.id());
        run.done(json!(1)).await;
        fleet
            .command(&["schedules", "delete", "often"])
            .await
            .ends_with(0);
        fleet
            .command(&["stats"])
            .await
            .ends_with(0)
            .says("translate");
        let typo = fleet.command(&["submit", "transalte", "text=x"]).await;
        typo.ends_with(2).complains("transalte");
    });
}

#[test]
fn what_cannot_be_a_category_ends_the_program_and_says_why() {
    test(async |_| {
        for (setting, named) in [
            ("categories.Translate.slots=1", "first one a letter"),
            ("categories.query.slots=1", "comes with the fleet"),
            ("categories.translate.id_prefix=embed", "that of embedding"),
            ("categories.translate.slotz=1", "slotz"),
            (
                "fleet.categories=[\"translate\"]",
                "unknown category \"translate\"",
            ),
            ("bridge.silence_max.query=1ms", "bridge.silence_max.query"),
        ] {
            let ran = command_line::run(&["up", "--set", setting]).await;
            ran.ends_with(1).complains(named);
        }
    });
}
