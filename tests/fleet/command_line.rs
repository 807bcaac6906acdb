//! The program `flotilla` against a fleet: every command, for people and for programs, over HTTP
//! and over NATS; what it ends with, in a pipe, and on a terminal.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::command_line::{Ran, finish, flotilla, run};
use crate::harness::fleet::{self, Fleet, free_port};
use crate::harness::{Site, eventually, test};

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

impl At<'_> {
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

#[test]
fn tasks_from_submission_to_outcome() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let (at, site) = (
            At {
                server: &fleet.address,
            },
            Site::start().await,
        );
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
        let (at, site) = (
            At {
                server: &fleet.address,
            },
            Site::start().await,
        );
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
        let at = At {
            server: &fleet.address,
        };
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
fn dead_letters_are_mended_run_again_and_thrown_away() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &fleet::ALL).await;
        let (at, site) = (
            At {
                server: &fleet.address,
            },
            Site::start().await,
        );
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
        let at = At {
            server: &fleet.address,
        };
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

#[test]
fn questions_documents_and_figures() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        let at = At {
            server: &fleet.address,
        };
        let text = "document.text=To reset the pump, hold the red button for nine seconds.";
        let embed = [
            "submit",
            "embedding",
            "document.id=pump",
            text,
            "brand=acme",
            "--wait=30s",
        ];
        let embedded = at.json(&embed).await;
        let sequence = embedded["result"]["sequence"].to_string();
        let ask = |question: &'static str| {
            ["ask", question, "--brand", "acme", "--at-least"].map(str::to_owned)
        };
        let known: Vec<String> = [
            &ask("How do I reset the pump?")[..],
            std::slice::from_ref(&sequence),
        ]
        .concat();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        at.run(&known)
            .await
            .ends_with(0)
            .says("nine seconds")
            .says("[1]")
            .says("confidence");
        assert_eq!(at.json(&known).await["result"]["found"], true);
        let unknown: Vec<String> =
            [&ask("Who won the chess championship?")[..], &[sequence]].concat();
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        at.run(&unknown).await.ends_with(3).says("do not answer");

        let documents = at.json(&["documents", "list", "--brand", "acme"]).await;
        let key = documents["documents"][0]["key"]
            .as_str()
            .unwrap()
            .to_owned();
        at.run(&["documents", "show", &key])
            .await
            .ends_with(0)
            .says("pump");
        at.run(&["documents", "retire", &key, "--yes"])
            .await
            .ends_with(0);
        at.run(&["documents", "show", &key]).await.ends_with(3);

        fleet.counted(4).await;
        at.run(&["stats"])
            .await
            .ends_with(0)
            .says("embedding")
            .says("all");
        assert_eq!(
            at.json(&["workers"]).await["total"]["slots"],
            fleet.get("/workers").await.body["total"]["slots"]
        );
        at.run(&["workers"]).await.ends_with(0).says("alive");
        at.run(&["top", "--once", "--interval", "200ms"])
            .await
            .ends_with(0)
            .says("throughput")
            .says("maintenance");
        let bench = at
            .json(&["bench", "-n", "20", "-c", "4", "--question", "a pump?"])
            .await;
        assert_eq!(
            (&bench["asked"], &bench["completed"]),
            (&json!(20), &json!(20))
        );
        fleet.stop().await;
    });
}

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
        let at = At {
            server: &fleet.address,
        };
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

/// Whoever reads our output may go before its end.
#[test]
fn in_a_pipe_that_closes_early() {
    test(async |_| {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg("{ \"$0\" completions zsh; echo \"code $?\" >&2; } | head -n 1");
        shell
            .arg(crate::harness::binary("flotilla"))
            .env("PATH", std::env::var("PATH").unwrap());
        let ran = finish(shell, "")
            .await
            .ends_with(0)
            .says("#compdef flotilla");
        assert_eq!(ran.err, "code 0\n");
        for shell in ["bash", "fish"] {
            run(&["completions", shell])
                .await
                .ends_with(0)
                .says("schedules");
        }
    });
}

/// Colours and the live view are for terminals, and a terminal is given back as it was.
#[test]
fn on_a_terminal() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let at = At {
            server: &fleet.address,
        };
        let piped = at.run(&["queues", "list"]).await;
        assert!(!piped.out.contains('\x1b'), "{piped:?}");
        let list = Terminal::run(at.command(&["queues", "list"]));
        assert!(list.until_end("").await.0.contains("\x1b[2mQUEUE\x1b[0m"));
        let mut plain = at.command(&["queues", "list"]);
        plain.env("NO_COLOR", "1");
        assert!(!Terminal::run(plain).until_end("").await.0.contains('\x1b'));

        for keys in ["2\tq", "\x03"] {
            let top = Terminal::run(at.command(&["top"]));
            let before = top.settings();
            let seen = top.until("throughput").await;
            assert!(seen.starts_with("\x1b[?1049h"), "{seen:?}");
            assert_ne!(top.settings(), before, "keys are read at once");
            let (rest, after) = top.until_end(keys).await;
            assert!(rest.ends_with("\x1b[?25h\x1b[?1049l"), "{rest:?}");
            assert_eq!(after, before);
        }
        // Asked to stop, it gives the terminal back as well.
        let top = Terminal::run(at.command(&["top"]));
        top.until("throughput").await;
        let pid = top.child.id().unwrap().to_string();
        std::process::Command::new("kill")
            .arg(&pid)
            .status()
            .unwrap();
        assert!(top.until_end("").await.0.ends_with("\x1b[?25h\x1b[?1049l"));
        fleet.stop().await;
    });
}

/// A program on a terminal of its own.
struct Terminal {
    master: std::fs::File,
    slave: std::fs::File,
    child: tokio::process::Child,
}

fn settings(terminal: &std::fs::File) -> String {
    let settings = rustix::termios::tcgetattr(terminal).unwrap();
    format!("{:?} {:?}", settings.local_modes, settings.input_modes)
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = std::fs::File::options()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let size = rustix::termios::Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&slave, size).unwrap();
        let child = command
            .env("TERM", "xterm")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self {
            master: master.into(),
            slave,
            child,
        }
    }

    fn settings(&self) -> String {
        settings(&self.slave)
    }

    /// What it writes, up to these words.
    async fn until(&self, words: &str) -> String {
        let mut master = self.master.try_clone().unwrap();
        let words = words.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut seen, mut bytes) = (String::new(), [0; 4096]);
            while !seen.contains(&words) {
                let count = std::io::Read::read(&mut master, &mut bytes).unwrap();
                seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            seen
        });
        tokio::time::timeout(Duration::from_secs(30), reading)
            .await
            .unwrap()
            .unwrap()
    }

    /// Presses keys, and answers what it writes until it ends, and how it leaves the terminal.
    async fn until_end(self, keys: &str) -> (String, String) {
        let Self {
            mut master,
            slave,
            mut child,
        } = self;
        std::io::Write::write_all(&mut master, keys.as_bytes()).unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut seen, mut bytes) = (String::new(), [0; 4096]);
            // An error: the last one that had the other end open has closed it.
            while let Ok(count @ 1..) = std::io::Read::read(&mut master, &mut bytes) {
                seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            seen
        });
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
        assert!(ended.unwrap().unwrap().success());
        let after = settings(&slave);
        drop(slave);
        (reading.await.unwrap(), after)
    }
}
