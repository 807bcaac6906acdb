//! A new version is rolled out under load: every service, one by one, as Kubernetes does it. Nobody outside
//! notices: no request fails, every task has one outcome after one attempt, and all is counted once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::balanced::{Balancer, Complaints, Endpoint, KeptAlive, status};
use crate::harness::fleet::{EVERYTHING, free_port};
use crate::harness::{Client, Nats, Site, binary, eventually, test};

/// Longer than the list of the ready ones is late.
const LEAVE_AFTER: &str = "gateway.leave_after=1s";

/// A process, and how it is reached.
struct Process {
    child: Child,
    endpoint: Endpoint,
}

impl Process {
    /// Ready when this returns.
    async fn start(nats: &Nats, service: &str) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        let endpoint = Endpoint {
            listen: address(),
            ops: address(),
        };
        let child = Command::new(binary(&format!("flotilla-{service}")))
            .env("NATS_URL", nats.url())
            .env("FLOTILLA_OPS__LISTEN", &endpoint.ops)
            .env("FLOTILLA_GATEWAY__LISTEN", &endpoint.listen)
            .env_remove("FLOTILLA_MODEL_DIR")
            .args(["--set", LEAVE_AFTER])
            .args(["--set", "scraping.allow_networks=[\"127.0.0.0/8\"]"])
            .args(["--set", "scraping.requests_per_second_per_host=1000.0"])
            .args(["--set", "browser.enabled=false"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually(&format!("{service} is ready"), async || {
            status(&endpoint.ops, "/readyz").await == Some(200)
        })
        .await;
        Self { child, endpoint }
    }

    /// As a kubelet does it: not ready at once, alive until the end, which is a good one.
    async fn terminate(mut self, service: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.unwrap().success());
        eventually(&format!("{service} is not ready any more"), async || {
            status(&self.endpoint.ops, "/readyz").await != Some(200)
        })
        .await;
        let mut code = None;
        eventually(&format!("{service} has ended"), async || {
            let alive = status(&self.endpoint.ops, "/livez").await;
            code = self.child.try_wait().unwrap();
            // Its listener goes a moment before itself.
            assert!(matches!(alive, Some(200) | None), "{service}: {alive:?}");
            code.is_some()
        })
        .await;
        assert_eq!(code.unwrap().code(), Some(0), "{service}");
    }
}

/// What the outside sends, until it is told to stop.
struct Load {
    stop: CancellationToken,
    sent: Arc<Mutex<BTreeSet<String>>>,
    complaints: Complaints,
    running: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(balancer: &Balancer, client: &Client, site: &Site) -> Self {
        let mut load = Self {
            stop: CancellationToken::new(),
            sent: Arc::default(),
            complaints: Complaints::default(),
            running: Vec::new(),
        };
        for _ in 0..3 {
            let sending = call(balancer.client(), site.url.clone(), load.teller());
            load.run(sending);
        }
        let publishing = publish(client.clone(), site.url.clone(), load.teller());
        load.run(publishing);
        load
    }

    fn run(&mut self, sending: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.running.push(tokio::spawn(async move {
            // To the end of the request that is under way.
            tokio::pin!(sending);
            stop.run_until_cancelled(sending).await;
        }));
    }

    fn teller(&self) -> Teller {
        Teller {
            sent: Arc::clone(&self.sent),
            complaints: self.complaints.clone(),
        }
    }

    async fn has_sent(&self, more: usize) {
        let target = self.sent.lock().unwrap().len() + more;
        eventually("the load goes on", async || {
            self.complaints.are_none();
            self.sent.lock().unwrap().len() >= target
        })
        .await;
    }

    /// The ids of all that was accepted.
    async fn stop(self) -> BTreeSet<String> {
        self.stop.cancel();
        for running in self.running {
            running.await.unwrap();
        }
        self.complaints.are_none();
        let sent = self.sent.lock().unwrap();
        sent.clone()
    }
}

#[derive(Clone)]
struct Teller {
    sent: Arc<Mutex<BTreeSet<String>>>,
    complaints: Complaints,
}

impl Teller {
    fn accepted(&self, id: &str) {
        self.sent.lock().unwrap().insert(id.to_owned());
    }
}

/// Over HTTP: pages, documents, questions that wait for their answers, and looks at what became of them.
async fn call(mut client: KeptAlive, site: String, teller: Teller) {
    let mut last = None;
    for n in 0_usize.. {
        let page = if n.is_multiple_of(4) {
            "slow/600"
        } else {
            "page/7"
        };
        let (method, path, body) = match (n % 4, &last) {
            (0 | 1, _) => (
                "POST",
                "/scrape".to_owned(),
                json!({"url": format!("{site}/{page}")}),
            ),
            (2, _) => (
                "POST",
                "/query?wait=5s".to_owned(),
                json!({"query": "How do I reset pump P-7?"}),
            ),
            (_, Some(id)) => ("GET", format!("/tasks/{id}?wait=1s"), Value::Null),
            (_, None) => ("GET", "/health".to_owned(), Value::Null),
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = client.send(method, &format!("/api/hp{path}"), &body).await;
        match answer {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                if let Some(id) = answer.body["task_id"].as_str() {
                    teller.accepted(id);
                    last = Some(id.to_owned());
                }
            }
            // The fleet's health is no business of the callers': one of two may be missing for a moment.
            Ok(answer) if path == "/health" && answer.status == 503 => {}
            Ok(answer) => teller
                .complaints
                .add(format!("{method} {path}: {answer:?}")),
            Err(error) => teller.complaints.add(format!("{method} {path}: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Over NATS, with ids of the publisher's own.
async fn publish(client: Client, site: String, teller: Teller) {
    for n in 0_usize.. {
        let id = format!("published-{n}");
        let (category, body) = match n % 3 {
            0 => ("scraping", json!({"url": format!("{site}/slow/300")})),
            1 => ("query", json!({"query": "How do I reset the pump?"})),
            _ => {
                let document = json!({"id": format!("d-{}", n % 20), "text": "Hold the button."});
                ("embedding", json!({"document": document}))
            }
        };
        let subject = format!("tasks.{category}.normal.{id}");
        let published = client
            .try_publish(&subject, Default::default(), body.to_string())
            .await;
        match published {
            Ok(_) => teller.accepted(&id),
            Err(error) => teller.complaints.add(format!("{subject}: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// All records, by category.
async fn records(client: &Client) -> Vec<(String, Value)> {
    let stream = client.jetstream.get_stream("RESULTS").await.unwrap();
    let count = usize::try_from(stream.cached_info().state.messages).unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count);
    messages
        .map(|message| {
            let message = message.unwrap();
            let category = message.subject.split('.').nth(1).unwrap().to_owned();
            (category, serde_json::from_slice(&message.payload).unwrap())
        })
        .collect()
        .await
}

/// Completed tasks by category, as the statistics say.
fn counted(stats: &Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (category, priorities) in stats["by_queue"].as_object().into_iter().flatten() {
        let of_all = priorities.as_object().unwrap().values();
        let completed: u64 = of_all.map(|of| of["completed"].as_u64().unwrap()).sum();
        if completed > 0 {
            counts.insert(category.clone(), completed);
        }
    }
    counts
}

async fn all_settled(client: &Client) {
    for category in ["SCRAPING", "QUERY", "EMBEDDING", "BATCH", "MAINTENANCE"] {
        let stream = format!("TASKS_{category}");
        eventually(&format!("{stream} is empty"), async || {
            client.state(&stream).await.messages == 0
        })
        .await;
    }
}

async fn everything_once(client: &Client, sent: &BTreeSet<String>, mut through: KeptAlive) {
    let records = records(client).await;
    let mut recount = BTreeMap::<String, u64>::new();
    let mut ended = BTreeSet::new();
    for (category, record) in &records {
        assert_eq!(record["status"], "completed", "{record}");
        assert_eq!(record["attempt"], 1, "{record}");
        assert_eq!(record["failed_attempts"], Value::Null, "{record}");
        ended.insert(record["task_id"].as_str().unwrap().to_owned());
        *recount.entry(category.clone()).or_default() += 1;
    }
    let lost: Vec<_> = sent.difference(&ended).collect();
    assert!(lost.is_empty(), "without an outcome: {lost:?}");
    let mut stats = BTreeMap::new();
    eventually("the statistics are the recount", async || {
        let answer = through.send("GET", "/api/hp/stats", "").await.unwrap();
        stats = counted(&answer.body);
        stats == recount
    })
    .await;
}

#[test]
fn nobody_notices() {
    test(async |nats| {
        let site = Site::start().await;
        let balancer = Balancer::start();
        let mut fleet = BTreeMap::new();
        for service in EVERYTHING {
            let process = Process::start(nats, service).await;
            if service == "gateway" {
                balancer.add(process.endpoint.clone());
            }
            fleet.insert(service, process);
        }
        let client = Client::connect(nats).await;
        let load = Load::start(&balancer, &client, &site);
        let urls: Vec<_> = (0..60).map(|n| site.page(n)).collect();
        let manifest = json!({"urls": urls, "in_flight_max": 2}).to_string();
        let mut caller = balancer.client();
        let batch = caller.send("POST", "/api/hp/batch", &manifest).await;
        load.teller()
            .accepted(batch.unwrap().body["task_id"].as_str().unwrap());
        load.has_sent(20).await;

        for service in EVERYTHING {
            let new = Process::start(nats, service).await;
            if service == "gateway" {
                balancer.add(new.endpoint.clone());
            }
            let old = fleet.insert(service, new).unwrap();
            old.terminate(service).await;
            load.has_sent(10).await;
        }
        // Up, and down again.
        let second = Process::start(nats, "scraping").await;
        load.has_sent(20).await;
        second.terminate("scraping").await;
        load.has_sent(10).await;

        let sent = load.stop().await;
        all_settled(&client).await;
        everything_once(&client, &sent, balancer.client()).await;
    });
}
