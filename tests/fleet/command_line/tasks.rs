//! Tasks: submitted one by one and many at once, shown, watched, found, cancelled, run again.

use serde_json::{Value, json};

use super::{At, failed, scraped};
use crate::harness::command_line::finish;
use crate::harness::fleet::{self, Fleet};
use crate::harness::{Site, eventually, test};

#[test]
fn tasks_from_submission_to_outcome() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let (at, site) = (At::of(&fleet), Site::start().await);
        let id = scraped(&at, &site.page(1)).await;

        let shown = at.json(&["tasks", "show", &id]).await;
        assert_eq!(shown, fleet.get(&format!("/tasks/{id}")).await.body);
        at.run(&["tasks", "show", &id])
            .await
            .ends_with(0)
            .says("completed")
            .says("To reset the pump");
        at.run(&["tasks", "watch", &id])
            .await
            .ends_with(0)
            .says("completed");

        let id = failed(&at, &site).await;
        at.run(&["tasks", "show", &id])
            .await
            .ends_with(0)
            .says("http_");
        at.run(&["tasks", "watch", &id]).await.ends_with(1);
        at.run(&["tasks", "cancel", &id])
            .await
            .ends_with(4)
            .complains("can no longer be cancelled");

        // Later: shown as such, not there in time, cancelled.
        let later = [
            "submit",
            "scraping",
            "url=http://127.0.0.1/",
            "--delay",
            "1h",
            "--id",
            "mine",
        ];
        assert_eq!(at.run(&later).await.ends_with(0).out, "mine\n");
        at.run(&["tasks", "show", "mine"]).await.says("scheduled");
        at.run(&["tasks", "show", "mine", "--wait", "100ms"])
            .await
            .ends_with(6)
            .complains("goes on");
        at.run(&["tasks", "watch", "mine", "--timeout", "200ms"])
            .await
            .ends_with(6);
        at.run(&["tasks", "cancel", "mine"])
            .await
            .ends_with(0)
            .says("was scheduled");
        fleet.stop().await;
    });
}

#[test]
fn many_from_a_file_and_from_a_pipe() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let (at, site) = (At::of(&fleet), Site::start().await);
        let mut lines: Vec<String> = (0..40)
            .map(|n| json!({"url": site.page(n)}).to_string())
            .collect();
        lines[6] = "{\"url\":".to_owned();
        lines[9] = String::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let path = file.path().to_str().unwrap();
        let ran = at
            .run(&["submit", "scraping", "--file", path, "--priority", "high"])
            .await;
        let ran = ran
            .ends_with(2)
            .complains("line 7")
            .complains("1 of 39 lines");
        assert_eq!(ran.out.lines().count(), 38);

        // URLs on standard input, waited for, each with its own exit.
        let input = format!("{}\n{}/nowhere\n", site.page(1), site.url);
        let args = [
            "submit",
            "scraping",
            "-f",
            "-",
            "--wait",
            "--max-retries",
            "0",
            "--json",
        ];
        let ran = finish(at.command(&args), &input).await.ends_with(1);
        let mut states: Vec<String> = ran
            .out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].to_string())
            .collect();
        states.sort();
        assert_eq!(states, ["\"completed\"", "\"failed\""]);
        fleet.counted(40).await;
        fleet.stop().await;
    });
}

#[test]
fn a_stop_in_the_middle_says_how_far_it_came() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let at = At::of(&fleet);
        let mut command = at.command(&["submit", "scraping", "-f", "-"]);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Its end stays open: it waits for more.
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, b"http://127.0.0.1/1\n")
            .await
            .unwrap();
        eventually("one is submitted", async || {
            fleet.get("/queues").await.body["total"]["size"] == 1
        })
        .await;
        let pid = child.id().unwrap().to_string();
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap();
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("stopped after 1 lines"), "{said}");
        drop(stdin);
        fleet.stop().await;
    });
}

#[test]
fn tasks_are_found_and_changed_by_filter() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let at = At::of(&fleet);
        let site = Site::start().await;
        let (first, second) = (failed(&at, &site).await, failed(&at, &site).await);
        let done = scraped(&at, &site.page(1)).await;
        eventually("all are found", async || {
            let all = at.json(&["tasks", "list"]).await;
            all["tasks"].as_array().unwrap().len() == 3
        })
        .await;
        let found = at.run(&["tasks", "list", "--state", "failed"]).await;
        let found = found.ends_with(0).says(&first).says(&second);
        assert!(!found.out.contains(&done), "{found:?}");
        let api = fleet.get("/tasks?state=failed&limit=25").await.body;
        let cli = at.json(&["tasks", "list", "--state", "failed"]).await;
        assert_eq!(cli["tasks"], api["tasks"]);
        let page = at.run(&["tasks", "list", "-n", "1"]).await.ends_with(0);
        let cursor = page
            .out
            .split("--cursor ")
            .nth(1)
            .unwrap()
            .trim()
            .to_owned();
        let rest = at.run(&["tasks", "list", "--cursor", &cursor]).await;
        rest.ends_with(0).says(&first);
        at.run(&["tasks", "list", "--since", "1h", "--brand", "nobody"])
            .await
            .ends_with(0);

        at.run(&["tasks", "retry"])
            .await
            .ends_with(2)
            .complains("--state");
        at.run(&["tasks", "retry", &done]).await.ends_with(4);
        at.run(&["tasks", "retry", &first])
            .await
            .ends_with(0)
            .says("runs again as");
        let would = at
            .run(&["tasks", "retry", "--state", "failed", "--dry-run"])
            .await;
        would.ends_with(0).says(&second);
        at.run(&["tasks", "retry", "--state", "failed"])
            .await
            .ends_with(2)
            .complains("--yes");
        let again = at
            .run(&["tasks", "retry", "--state", "failed", "--yes"])
            .await;
        again.ends_with(0).says(&second).says("retried as");

        for n in 0..3 {
            let (id, url) = (format!("later-{n}"), format!("url={}", site.page(n)));
            let args = ["submit", "scraping", &url, "--delay", "1h", "--id", &id];
            at.run(&args).await.ends_with(0);
        }
        let cancelled = at
            .run(&["tasks", "cancel", "--state", "scheduled", "--yes"])
            .await;
        let cancelled = cancelled.ends_with(0);
        assert_eq!(cancelled.out.lines().count(), 3, "{cancelled:?}");
        let again = at.run(&["tasks", "cancel", "later-0", "none-such"]).await;
        again.ends_with(3).says("later-0  cancelled");
        fleet.stop().await;
    });
}
