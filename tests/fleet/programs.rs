//! The programs as their users start them: `flotilla up`, and one process per service.

use std::process::Stdio;

use flotilla_common::model::Category;
use flotilla_common::service::Fleet;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::balanced::status;
use crate::harness::command_line::run;
use crate::harness::fleet::free_port;
use crate::harness::{Site, binary, eventually, http, test};

fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command
        .args(["--set", "scraping.allow_networks=[\"127.0.0.0/8\"]"])
        .env_remove("NATS_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// `flotilla up` with data, ports and address of its own.
struct Up {
    data_dir: tempfile::TempDir,
    nats_port: u16,
    address: String,
}

impl Up {
    fn new() -> Self {
        Self {
            data_dir: tempfile::tempdir().unwrap(),
            nats_port: free_port(),
            address: format!("127.0.0.1:{}", free_port()),
        }
    }

    fn command(&self) -> Command {
        let mut command = command("flotilla");
        command.args([
            "up",
            "--listen",
            &self.address,
            "--nats-port",
            &self.nats_port.to_string(),
        ]);
        command.arg("--data-dir").arg(self.data_dir.path());
        command
    }

    async fn start(&self) -> Child {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // It says so itself: health may still know of the services of the fleet before.
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        eventually("the fleet says that it is up", async || {
            let line = said.next_line().await.unwrap();
            line.is_some_and(|line| line.starts_with("The fleet is up"))
        })
        .await;
        // Whoever speaks to nobody ends.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        eventually("the fleet is healthy", async || {
            is_healthy(&self.address).await
        })
        .await;
        child
    }

    /// The process of the nats-server, where one runs.
    fn server(&self) -> Option<String> {
        std::fs::read_to_string(self.data_dir.path().join("nats-server.pid")).ok()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(pid) = self.server() {
            let _ = std::process::Command::new("kill")
                .args(["-9", pid.trim()])
                .status();
        }
    }
}

async fn is_healthy(address: &str) -> bool {
    match tokio::net::TcpStream::connect(address).await {
        Ok(_) => http::get(address, "/api/hp/health").await.status == 200,
        Err(_) => false,
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args([name, &pid])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Runs a program that is to fail, and answers what it says.
async fn failure(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .await
        .unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(1), "{said}");
    said
}

async fn scrape(address: &str, site: &Site) -> serde_json::Value {
    let body = json!({"url": site.page(1)}).to_string();
    http::post(address, "/api/hp/scrape?wait=20s", &body)
        .await
        .body
}

#[test]
fn up_needs_nothing_and_keeps_everything() {
    test(async |_| {
        let (up, site) = (Up::new(), Site::start().await);
        let mut child = up.start().await;
        let done = scrape(&up.address, &site).await;
        assert_eq!(done["status"], "completed", "{done}");
        let task = format!("/api/hp/tasks/{}", done["task_id"].as_str().unwrap());

        // Killed: the nats-server is left behind, and found again.
        child.kill().await.unwrap();
        let server = up.server().unwrap();
        let mut child = up.start().await;
        assert_eq!(up.server().unwrap(), server);
        assert_eq!(
            http::get(&up.address, &task).await.body["result"],
            done["result"]
        );

        // The nats-server dies: it is started again.
        let killed = std::process::Command::new("kill")
            .args(["-9", server.trim()])
            .status();
        assert!(killed.unwrap().success());
        eventually("there is a new server", async || {
            up.server().is_some_and(|pid| pid != server)
        })
        .await;
        eventually("work goes on", async || {
            scrape(&up.address, &site).await["status"] == "completed"
        })
        .await;

        // Ctrl-C: all drains, and the server goes with the fleet.
        signal(&child, "-INT");
        assert!(child.wait().await.unwrap().success());
        assert!(std::net::TcpStream::connect(("127.0.0.1", up.nats_port)).is_err());
        let mut child = up.start().await;
        assert_eq!(
            http::get(&up.address, &task).await.body["result"],
            done["result"]
        );
        signal(&child, "-TERM");
        assert!(child.wait().await.unwrap().success());
    });
}

/// A pid file outlives a reboot, and its number may be somebody else's by then.
#[test]
fn up_takes_nobody_elses_process_for_its_server() {
    test(async |_| {
        let up = Up::new();
        let mut somebody = Command::new("sleep")
            .arg("60")
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid_file = up.data_dir.path().join("nats-server.pid");
        std::fs::write(&pid_file, somebody.id().unwrap().to_string()).unwrap();
        let _taken = std::net::TcpListener::bind(("127.0.0.1", up.nats_port)).unwrap();
        let said = failure(up.command()).await;
        assert!(said.contains("is taken"), "{said}");
        assert_eq!(somebody.try_wait().unwrap(), None);
        std::fs::remove_file(pid_file).unwrap();
    });
}

#[test]
fn one_process_per_service() {
    test(async |nats| {
        let (address, site) = (format!("127.0.0.1:{}", free_port()), Site::start().await);
        let workers = Fleet::default().categories.into_iter().map(Category::name);
        // Stats goes last, to hear the others' last words.
        let names = workers.chain(["gateway", "stats"]);
        let start = |name| {
            let mut command = command(&format!("flotilla-{name}"));
            command
                .env("NATS_URL", nats.url())
                .env("FLOTILLA_GATEWAY__LISTEN", &address);
            command.stderr(Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = names.map(start).collect();
        eventually("the fleet is up", async || is_healthy(&address).await).await;
        assert_eq!(scrape(&address, &site).await["status"], "completed");
        for mut child in children {
            signal(&child, "-TERM");
            assert!(child.wait().await.unwrap().success());
        }
    });
}

/// As in the container image, where there is one program and links to it.
#[test]
fn a_link_is_the_service_of_its_name() {
    test(async |nats| {
        let (dir, ops) = (tempfile::tempdir().unwrap(), free_port());
        let link = dir.path().join("flotilla-stats");
        std::os::unix::fs::symlink(binary("flotilla"), &link).unwrap();
        let mut child = Command::new(link)
            .args(["--set", &format!("ops.listen=127.0.0.1:{ops}")])
            .env("NATS_URL", nats.url())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{ops}");
        eventually("it is ready", async || {
            status(&address, "/readyz").await == Some(200)
        })
        .await;
        let seen = http::get(&address, "/metrics").await.text;
        assert!(seen.contains(r#"flotilla_service_ready{service="stats"} 1"#));
        signal(&child, "-TERM");
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn the_services_are_those_that_the_configuration_needs() {
    test(async |_| {
        let list = async |sets: &[&str]| {
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let arguments: Vec<_> = ["services"].into_iter().chain(sets).collect();
            run(&arguments).await.ends_with(0).out
        };
        let usual = "gateway\nstats\nscraping\nquery\nembedding\nbatch\nmaintenance\n";
        assert_eq!(list(&[]).await, usual);
        let own = list(&["categories.translate.slots=4"]).await;
        assert_eq!(own, format!("{usual}bridge\n"));
        let few = r#"fleet.categories=["query", "batch", "batch"]"#;
        assert_eq!(list(&[few]).await, "gateway\nstats\nquery\nbatch\n");
        let bridged = list(&[few, r#"bridge.categories=["query"]"#]).await;
        assert_eq!(bridged, "gateway\nstats\nbatch\nbridge\n");
    });
}

#[test]
fn a_killed_scraper_loses_nothing() {
    test(async |nats| {
        let (address, site) = (format!("127.0.0.1:{}", free_port()), Site::start().await);
        let start = |name| {
            let mut command = command(name);
            command
                .env("NATS_URL", nats.url())
                .env("FLOTILLA_GATEWAY__LISTEN", &address);
            command
                .args(["--set", "streams.ack_wait=2s"])
                .args(["--set", "fleet.categories=[\"scraping\"]"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let _rest = ["flotilla-stats", "flotilla-gateway"].map(start);
        let mut scraper = start("flotilla-scraping");
        eventually("the fleet is up", async || is_healthy(&address).await).await;
        let body = json!({"url": format!("{}/slow/3000", site.url)}).to_string();
        let id = http::post(&address, "/api/hp/scrape", &body).await.body["task_id"].clone();
        let task = format!("/api/hp/tasks/{}", id.as_str().unwrap());
        eventually("the task runs", async || {
            http::get(&address, &task).await.body["status"] == "running"
        })
        .await;
        scraper.kill().await.unwrap();
        let _scraper = start("flotilla-scraping");
        let done = http::get(&address, &format!("{task}?wait=30s")).await.body;
        assert_eq!(
            (&done["status"], &done["attempt"]),
            (&json!("completed"), &json!(2)),
            "{done}"
        );
        assert_eq!(done["attempts"][0]["error"]["code"], "worker_lost");
    });
}

/// A broker that is not there yet is waited for, and that is said.
#[test]
fn up_waits_for_the_server_that_it_was_given() {
    test(async |_| {
        let (up, nobody) = (Up::new(), free_port());
        let mut command = up.command();
        command.args(["--set", &format!("nats.url=nats://127.0.0.1:{nobody}")]);
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        eventually("it says what it waits for", async || {
            let line = said.next_line().await.unwrap().unwrap();
            line.contains("NATS_URL") && line.contains("waiting for it")
        })
        .await;
        signal(&child, "-TERM");
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_start_that_fails_says_what_to_do() {
    test(async |nats| {
        let up = Up::new();
        let taken = std::net::TcpListener::bind(("127.0.0.1", up.nats_port)).unwrap();
        let said = failure(up.command()).await;
        assert!(
            said.contains("is taken") && said.contains("--nats-port"),
            "{said}"
        );
        drop(taken);

        let mut unheard = Up::new();
        unheard.address = format!("127.0.0.1:{}", nats.port());
        let said = failure(unheard.command()).await;
        assert!(said.contains("gateway.listen"), "{said}");

        let with = |set: &str| {
            let mut command = up.command();
            command.args(["--set", set]);
            command
        };
        let cases = [
            (with("nats.url=http://127.0.0.1"), "nats://host:4222"),
            (with("gateway.lisen=1"), "unknown field `lisen`"),
            (with("gatway.listen=1"), "unknown section [gatway]"),
            (with("worker.slots.scraping=0"), "worker.slots.scraping"),
            (with("scraping.total_timeout=soon"), "\"30s\""),
            (with("scraping.total_timeout=2m"), "scraping.total_timeout"),
            (
                with("fleet.categories=[\"cooking\"]"),
                "unknown category \"cooking\"",
            ),
            (with("embedded.nats_server=/bin/echo"), "too old"),
        ];
        for (command, expected) in cases {
            let said = failure(command).await;
            assert!(said.contains(expected), "expected {expected:?} in: {said}");
        }
    });
}
