//! Over NATS without a gateway; and what commands end with.

use serde_json::{Value, json};

use super::At;
use crate::harness::command_line::{finish, flotilla, run};
use crate::harness::fleet::{Fleet, free_port};
use crate::harness::{Site, eventually, test};

#[test]
fn the_same_over_nats_without_a_gateway() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["stats", "scraping"]).await;
        let (site, url) = (Site::start().await, nats.url());
        let at = async |args: &[&str]| {
            let mut args = args.to_vec();
            args.extend(["--nats", &url]);
            run(&args).await
        };
        let page = format!("url={}", site.page(1));
        at(&["submit", "scraping", &page, "--wait=30s"])
            .await
            .ends_with(0)
            .says("completed");
        at(&["submit", "query", "query=why?", "--id", "waits"])
            .await
            .ends_with(0);
        at(&["tasks", "watch", "waits", "--timeout", "300ms"])
            .await
            .ends_with(6)
            .says("queued");
        at(&["tasks", "cancel", "waits"])
            .await
            .ends_with(0)
            .says("was waiting");
        at(&["tasks", "show", "none"]).await.ends_with(3);
        at(&["queues", "list"]).await.ends_with(0).says("total");
        at(&["breakers", "open", "playwright"])
            .await
            .ends_with(0)
            .says("held open");
        // What it brought about itself is counted, and nobody takes it for a gateway.
        eventually("the cancelled task is counted", async || {
            let stats = at(&["stats", "--json"]).await.json();
            stats["totals"]["cancelled"] == 1
        })
        .await;
        assert_eq!(fleet_health(&url).await["services"]["gateway"], "missing");
        at(&["submit", "scraping", "url=nowhere"])
            .await
            .ends_with(2)
            .complains("url");
        fleet.stop().await;
    });
}

async fn fleet_health(nats: &str) -> Value {
    // A gateway that answers counts itself; so it is asked of the statistics alone.
    let broker = crate::harness::connect_to(nats).await;
    let snapshot = broker
        .ask(flotilla_common::broker::STATS_REQUEST)
        .await
        .unwrap();
    let snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
    let is_there = |name: &str| {
        let seen = snapshot["instances"].as_array().unwrap();
        let is = seen.iter().any(|seen| seen["service"] == name);
        if is { "alive" } else { "missing" }
    };
    json!({"services": {"gateway": is_there("gateway")}})
}

#[test]
fn ends_that_mean_something() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let at = At::of(&fleet);
        at.run(&["tasks", "show", "no-such-task"])
            .await
            .ends_with(3)
            .complains("no-such-task");
        at.run(&["tasks", "show", "a/b?c"]).await.ends_with(2);
        at.run(&["submit", "scraping", "url=ftp://x"])
            .await
            .ends_with(2)
            .complains("url");
        at.run(&["submit", "scraping"])
            .await
            .ends_with(2)
            .complains("url=");
        at.run(&["submit", "cooking", "x=1"])
            .await
            .ends_with(2)
            .complains("cooking");
        at.run(&["no-such-command"]).await.ends_with(2);
        let nobody = format!("127.0.0.1:{}", free_port());
        let away = At { server: &nobody };
        away.run(&["queues", "list"])
            .await
            .ends_with(5)
            .complains("flotilla up");
        away.run(&["queues", "list", "--nats", &nobody])
            .await
            .ends_with(5);
        let site = Site::start().await;
        At { server: &site.url }
            .run(&["stats"])
            .await
            .ends_with(5)
            .complains("--server");
        At { server: "nats://h" }
            .run(&["stats"])
            .await
            .ends_with(2)
            .complains("--nats");

        // The environment says where the fleet is, and the command line comes first.
        let mut command = flotilla(&["queues", "list"]);
        command.env("FLOTILLA_SERVER", &fleet.address);
        finish(command, "").await.ends_with(0);
        fleet.stop().await;
    });
}
