//! Maintenance runs by itself, and as its operators want.

use serde_json::{Value, json};

use crate::harness::fleet::Fleet;
use crate::harness::{Nats, test};

const SERVICES: [&str; 2] = ["gateway", "maintenance"];

async fn crons(fleet: &Fleet) -> Vec<(String, String)> {
    let page = fleet.get("/schedules").await.body;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let schedules = page["schedules"].as_array().unwrap();
    let mut crons: Vec<_> = schedules
        .iter()
        .map(|s| (text(&s["id"]), text(&s["cron"])))
        .collect();
    crons.sort();
    crons
}

async fn restarted(nats: &Nats, fleet: Fleet, more: &[&str]) -> Fleet {
    fleet.stop().await;
    Fleet::start_with(nats, &SERVICES, more).await
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |&(id, cron): &(&str, &str)| (id.to_owned(), cron.to_owned());
    expected.iter().map(own).collect()
}

#[test]
fn schedules_are_made_once_and_an_operators_word_stands() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &SERVICES).await;
        let defaults = [
            ("flotilla-expire", "17 3 * * *"),
            ("flotilla-probe", "*/15 * * * *"),
            ("flotilla-reindex", "37 * * * *"),
            ("flotilla-verify", "47 3 * * *"),
        ];
        assert_eq!(crons(&fleet).await, pairs(&defaults));
        let changed_at = async |fleet: &Fleet| {
            fleet.get("/schedules/flotilla-verify").await.body["changed_at"].clone()
        };
        let before = changed_at(&fleet).await;

        // An operator wants one at another time, and another one not at all.
        let body = json!({"category": "maintenance", "cron": "0 12 * * *", "payload": {"operation": "expire"}});
        let path = "/schedules/flotilla-expire";
        assert_eq!(
            fleet.request("PUT", path, &body.to_string()).await.status,
            200
        );
        let removed = fleet
            .request("DELETE", "/schedules/flotilla-probe", "")
            .await;
        assert_eq!(removed.status, 204);
        let fleet = restarted(nats, fleet, &[]).await;
        let theirs = [
            ("flotilla-expire", "0 12 * * *"),
            ("flotilla-reindex", "37 * * * *"),
            ("flotilla-verify", "47 3 * * *"),
        ];
        assert_eq!(crons(&fleet).await, pairs(&theirs));
        assert_eq!(changed_at(&fleet).await, before);

        // What is configured anew is written anew, but for what is an operator's.
        let more = [
            "maintenance.schedules.expire=0 5 * * *",
            "maintenance.schedules.reindex=",
            "maintenance.schedules.verify=0 6 * * *",
            "maintenance.schedules.probe=0 7 * * *",
        ];
        let fleet = restarted(nats, fleet, &more).await;
        let now = [
            ("flotilla-expire", "0 12 * * *"),
            ("flotilla-probe", "0 7 * * *"),
            ("flotilla-verify", "0 6 * * *"),
        ];
        assert_eq!(crons(&fleet).await, pairs(&now));
        fleet.stop().await;
    });
}
