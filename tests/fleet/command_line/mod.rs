//! The program `flotilla` against a fleet: every command, for people and for programs, over HTTP
//! and over NATS; what it ends with, in a pipe, and on a terminal.

mod entrances;
mod figures;
mod operators;
mod tasks;
mod terminal;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::Site;
use crate::harness::command_line::{Ran, finish, flotilla};
use crate::harness::fleet::Fleet;

const ALL: [&str; 6] = [
    "gateway",
    "stats",
    "scraping",
    "embedding",
    "query",
    "maintenance",
];

/// Speaks to this fleet.
struct At<'a> {
    server: &'a str,
}

impl<'a> At<'a> {
    fn of(fleet: &'a Fleet) -> Self {
        Self {
            server: &fleet.address,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = flotilla(args);
        command.args(["--server", self.server]);
        command
    }

    async fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args), "").await
    }

    /// With `--json`.
    async fn json(&self, args: &[&str]) -> Value {
        let mut command = self.command(args);
        command.arg("--json");
        finish(command, "").await.ends_with(0).json()
    }
}

async fn scraped(at: &At<'_>, url: &str) -> String {
    let url = format!("url={url}");
    let done = at.json(&["submit", "scraping", &url, "--wait=30s"]).await;
    assert_eq!(done["status"], "completed", "{done}");
    done["task_id"].as_str().unwrap().to_owned()
}

/// A task that fails for good: its page is not there.
async fn failed(at: &At<'_>, site: &Site) -> String {
    let url = format!("url={}/nowhere", site.url);
    let ran = at
        .run(&["submit", "scraping", &url, "--max-retries", "0"])
        .await;
    let id = ran.ends_with(0).out.trim().to_owned();
    at.run(&["tasks", "show", &id, "--wait", "30s"])
        .await
        .ends_with(1)
        .says("failed");
    id
}
