//! What operators do: dead letters, queues, breakers, schedules.

use serde_json::json;

use super::{At, failed};
use crate::harness::command_line::finish;
use crate::harness::fleet::{self, Fleet};
use crate::harness::{Site, eventually, test};

#[test]
fn dead_letters_are_mended_run_again_and_thrown_away() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let (at, site) = (At::of(&fleet), Site::start().await);
        let id = failed(&at, &site).await;
        at.run(&["dlq", "list", "--category", "scraping"])
            .await
            .ends_with(0)
            .says(&id);
        at.run(&["dlq", "show", &id])
            .await
            .ends_with(0)
            .says("/nowhere");

        let patch = json!({"url": site.page(1)}).to_string();
        let mended = at.json(&["dlq", "edit", &id, "--patch", &patch]).await;
        let again = mended["task_id"].as_str().unwrap();
        at.run(&["tasks", "show", again, "--wait", "30s"])
            .await
            .ends_with(0);

        // In an editor: one that changes nothing, and one that mends.
        let id = failed(&at, &site).await;
        let edit = async |editor: &str| {
            let mut command = at.command(&["dlq", "edit", &id]);
            command.env("VISUAL", editor);
            finish(command, "").await
        };
        edit("true")
            .await
            .ends_with(4)
            .complains("nothing was done");
        edit("false").await.ends_with(4).complains("gave up");
        edit("sed -i s,nowhere,page/2,")
            .await
            .ends_with(0)
            .says("runs again");

        let (id, other) = (failed(&at, &site).await, failed(&at, &site).await);
        at.run(&["dlq", "requeue", "--code", "none_such", "--yes"])
            .await
            .ends_with(0);
        at.run(&["dlq", "requeue"])
            .await
            .ends_with(2)
            .complains("--all");
        let would = at
            .run(&["dlq", "requeue", "--all", "--dry-run"])
            .await
            .ends_with(0);
        assert!(would.out.contains(&id) && would.out.contains(&other));
        at.run(&["dlq", "requeue", &id, "no-such-task"])
            .await
            .ends_with(3)
            .says("runs again");

        at.run(&["dlq", "purge", "--all"])
            .await
            .ends_with(2)
            .complains("--yes");
        at.run(&["dlq", "purge", &other, "--yes"])
            .await
            .ends_with(0);
        failed(&at, &site).await;
        at.run(&["dlq", "purge", "--category", "scraping", "--yes"])
            .await
            .ends_with(0);
        eventually("none is left", async || {
            at.json(&["dlq", "list"]).await["dead_letters"] == json!([])
        })
        .await;
        at.run(&["dlq", "show", &id]).await.ends_with(3);
        fleet.stop().await;
    });
}

#[test]
fn what_operators_set() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let at = At::of(&fleet);
        at.run(&["queues", "pause", "scraping", "--priority", "bulk"])
            .await
            .ends_with(0)
            .says("paused for BULK");
        assert_eq!(
            at.json(&["queues", "list"]).await,
            fleet.get("/queues").await.body
        );
        at.run(&["queues", "list"])
            .await
            .ends_with(0)
            .says("BULK")
            .says("total");
        at.run(&["queues", "resume", "scrape"])
            .await
            .ends_with(0)
            .says("scraping runs");
        at.run(&["queues", "slots", "scraping", "3"])
            .await
            .ends_with(0)
            .says("3 slots");
        at.run(&["queues", "slots", "scraping", "0"])
            .await
            .ends_with(2)
            .complains("pause");
        at.run(&["queues", "slots", "scraping", "default"])
            .await
            .ends_with(0)
            .says("as configured");

        at.run(&["breakers", "open", "openai", "--cause", "it is Sunday"])
            .await
            .ends_with(0)
            .says("held open");
        at.run(&["breakers", "list"])
            .await
            .ends_with(0)
            .says("it is Sunday");
        at.run(&["breakers", "reset", "openai"])
            .await
            .ends_with(0)
            .says("closed");

        let create = [
            "schedules",
            "create",
            "scraping",
            "--id",
            "nightly",
            "--cron",
            "0 3 * * *",
            "url=http://127.0.0.1/",
        ];
        at.run(&create).await.ends_with(0).says("nightly");
        at.run(&create).await.ends_with(4).complains("exists");
        let mut changed = create.to_vec();
        changed.extend(["--replace", "--priority", "low"]);
        at.run(&changed).await.ends_with(0).says("LOW");
        at.run(&["schedules", "list"])
            .await
            .ends_with(0)
            .says("0 3 * * *");
        let shown = at.json(&["schedules", "show", "nightly"]).await;
        assert_eq!(shown["payload"]["url"], "http://127.0.0.1/");
        at.run(&["schedules", "delete", "nightly"])
            .await
            .ends_with(0)
            .says("removed");
        at.run(&["schedules", "delete", "nightly"])
            .await
            .ends_with(3);
        fleet.stop().await;
    });
}
