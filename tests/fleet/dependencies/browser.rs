//! Pages in a real Chromium, from Debian: what they show, what they may reach, and what becomes
//! of a browser that fails. `scripts/chromium.sh` brings one.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

use crate::harness::fleet::{Fleet, free_port};
use crate::harness::{Nats, eventually, test};

/// Only this address is opened to pages: another one on this machine is out of bounds.
const OPENED: &str = "scraping.allow_networks=[\"127.0.0.1/32\"]";

async fn fleet(nats: &Nats, more: &[&str]) -> Fleet {
    let mut settings = vec![OPENED, "browser.sandbox=false", "scraping.robots=false"];
    settings.extend(more);
    Fleet::start_with(nats, &["gateway", "stats", "scraping"], &settings).await
}

/// The task as it ended.
async fn scrape(fleet: &Fleet, body: Value) -> Value {
    let answer = fleet.post("/scrape?wait=60s", &body.to_string()).await;
    answer.body
}

async fn rendered(fleet: &Fleet, url: &str) -> Value {
    let task = scrape(fleet, json!({"url": url, "render": "always"})).await;
    assert_eq!(
        task["result"]["rendered"], "yes",
        "{task:#} (no browser? scripts/chromium.sh brings one)"
    );
    task["result"].clone()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn page(html: impl Into<String>) -> axum::routing::MethodRouter {
    let html = html.into();
    get(move || async move { Html(html) })
}

/// A server where no page may go, and how many have come.
async fn canary() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let url = format!("http://{}/secret", listener.local_addr().unwrap());
    let visits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&visits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (url, visits)
}

const BUILT: &str = "<html><title>Pump</title><body><div id=root></div><script>
    document.title = 'Pump P-7';
    setTimeout(() => { document.querySelector('#root').innerHTML =
    '<main><h1>Pump P-7</h1><p>Hold the button for seven seconds.</p>' +
    '<p><a href=/manual>The manual</a></p></main>' }, 300)</script>";

#[test]
fn a_page_that_its_scripts_build_is_rendered_where_it_needs_it() {
    test(async |nats| {
        let whole = format!(
            "<main><p>{}</main><script>0</script>",
            "Sent whole. ".repeat(80)
        );
        let site = serve(
            Router::new()
                .route("/app", page(BUILT))
                .route("/whole", page(whole)),
        )
        .await;
        let proxy = free_port();
        let listen = format!("browser.proxy_listen=127.0.0.1:{proxy}");
        let fleet = fleet(nats, &[&listen]).await;
        let task = scrape(&fleet, json!({"url": format!("{site}/app")})).await;
        let result = &task["result"];
        assert_eq!(result["rendered"], "yes", "{task:#}");
        assert_eq!(result["title"], "Pump P-7");
        let content = result["content"].as_str().unwrap();
        assert!(content.contains("seven seconds"), "{content}");
        let manual = format!("{site}/manual");
        assert_eq!(
            result["links"],
            json!([{"url": manual, "text": "The manual"}])
        );

        let task = scrape(&fleet, json!({"url": format!("{site}/whole")})).await;
        assert_eq!(task["result"]["rendered"], "no", "{task:#}");
        let never = json!({"url": format!("{site}/app"), "render": "never"});
        assert_eq!(scrape(&fleet, never).await["result"]["rendered"], "no");
        assert!(!browsers(proxy).is_empty());
        fleet.stop().await;
        eventually("the browser is gone", async || browsers(proxy).is_empty()).await;
    });
}

/// The processes of the browser that was told to go through this proxy.
fn browsers(proxy: u16) -> Vec<String> {
    let told = format!("--proxy-server=127.0.0.1:{proxy}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&told)
        })
        .map(|process| process.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_page_reaches_nothing_that_a_plain_fetch_may_not() {
    test(async |nats| {
        let (secret, visits) = canary().await;
        let stun = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stun_port = stun.local_addr().unwrap().port();
        let script = format!(
            "<body><h1>Curious</h1><p id=log></p><iframe src='{secret}'></iframe>
            <img src='{secret}'><link rel=stylesheet href='{secret}'><script>
            const urls = ['{secret}', 'http://169.254.169.254/latest/', 'http://[::1]:1/',
              '{secret}'.replace('127.0.0.2', '2130706434')];
            const worker = new Worker(URL.createObjectURL(new Blob([
              `fetch('{secret}').then(() => postMessage('in'), () => postMessage('out'))`])));
            const asked = new Promise(done => worker.onmessage = e => done(e.data));
            const socket = new Promise(done => {{
              const s = new WebSocket('{secret}'.replace('http', 'ws'));
              s.onopen = () => done('in'); s.onerror = () => done('out') }});
            try {{ const peer = new RTCPeerConnection({{iceServers: [{{urls: 'stun:127.0.0.1:{stun_port}'}}]}});
              peer.createDataChannel('x'); peer.createOffer().then(o => peer.setLocalDescription(o)) }} catch {{}}
            open('{secret}');
            Promise.all([asked, socket, ...urls.map(url =>
              fetch(url, {{mode: 'no-cors'}}).then(r => r.type == 'opaque' ? 'maybe' : 'in', () => 'out'))])
              .then(all => document.querySelector('#log').textContent = 'Asked: ' + all.join(' '))
            </script>"
        );
        let site = serve(Router::new().route("/", page(script))).await;
        let fleet = fleet(nats, &[]).await;
        let body = json!({"url": site, "render": "always", "wait_for": "#log:not(:empty)"});
        let task = scrape(&fleet, body).await;
        assert_eq!(task["result"]["rendered"], "yes", "{task:#}");
        let content = task["result"]["content"].as_str().unwrap();
        assert!(content.contains("Asked: "), "{content}");
        assert!(!content.contains(" in"), "{content}");
        fleet.stop().await;
        assert_eq!(visits.load(Ordering::Relaxed), 0, "the canary was reached");
        let heard = stun.try_recv_from(&mut [0; 64]);
        assert!(heard.is_err(), "a packet went past the proxy");
    });
}

#[test]
fn a_script_cannot_lead_the_page_out_of_bounds() {
    test(async |nats| {
        let (secret, visits) = canary().await;
        let away = format!("<body>Wait<script>location = '{secret}'</script>");
        let site = serve(Router::new().route("/", page(away))).await;
        let fleet = fleet(nats, &[]).await;
        let task = scrape(&fleet, json!({"url": site, "render": "always"})).await;
        assert_eq!(task["status"], "failed", "{task:#}");
        assert_eq!(task["error"]["code"], "address_refused", "{task:#}");
        assert_eq!(visits.load(Ordering::Relaxed), 0);
        fleet.stop().await;
    });
}

#[test]
fn statuses_and_dialogs_are_dealt_with() {
    test(async |nats| {
        let missing = get(async || (StatusCode::NOT_FOUND, Html("<h1>Nothing here</h1>")));
        let asking = "<body><script>alert('Hello'); confirm('Sure?');
            document.body.innerHTML = '<h1>After the dialogs</h1>'</script>";
        let router = Router::new()
            .route("/missing", missing)
            .route("/asking", page(asking));
        let site = serve(router).await;
        let fleet = fleet(nats, &[]).await;
        let body = json!({"url": format!("{site}/missing"), "render": "always"});
        let task = scrape(&fleet, body).await;
        assert_eq!(task["error"]["code"], "http_404", "{task:#}");
        let result = rendered(&fleet, &format!("{site}/asking")).await;
        let content = result["content"].as_str().unwrap();
        assert!(content.contains("After the dialogs"), "{content}");
        fleet.stop().await;
    });
}

#[test]
fn a_page_that_hangs_is_given_up_and_its_tab_is_free_again() {
    test(async |nats| {
        let hanging = "<body><p>Short<script>setTimeout(() => { for (;;); }, 50)</script>";
        let silent = get(async || -> Html<String> { std::future::pending().await });
        let router = Router::new()
            .route("/hanging", page(hanging))
            .route("/silent", silent)
            .route("/app", page(BUILT));
        let site = serve(router).await;
        let fleet = fleet(nats, &["browser.render_timeout=3s", "browser.tabs_max=1"]).await;
        for path in ["hanging", "silent"] {
            let url = format!("{site}/{path}");
            let body = json!({"url": url, "render": "always", "max_retries": 0});
            let task = scrape(&fleet, body).await;
            assert_eq!(task["error"]["code"], "timeout", "{path}: {task:#}");
        }
        rendered(&fleet, &format!("{site}/app")).await;
        let breakers = fleet.get("/circuit-breakers").await.body.to_string();
        assert!(!breakers.contains("\"open\""), "{breakers}");
        fleet.stop().await;
    });
}

#[test]
fn a_killed_browser_costs_an_attempt_and_not_the_task() {
    test(async |nats| {
        // Long enough under way to be killed there, the first time.
        let visits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&visits);
        let slow = get(async move || {
            if counter.fetch_add(1, Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Html("<h1>Here at last</h1>")
        });
        let site = serve(Router::new().route("/", slow)).await;
        let proxy = free_port();
        let listen = format!("browser.proxy_listen=127.0.0.1:{proxy}");
        let fleet = fleet(nats, &[&listen]).await;
        let body = json!({"url": site, "render": "always"});
        let killing = async {
            eventually("the page is asked for", async || {
                visits.load(Ordering::Relaxed) > 0
            })
            .await;
            // A helper may be gone before its turn.
            let killed = Command::new("kill")
                .arg("-9")
                .args(browsers(proxy))
                .status();
            assert!(killed.is_ok());
        };
        let (task, ()) = tokio::join!(scrape(&fleet, body), killing);
        assert_eq!(task["status"], "completed", "{task:#}");
        assert_eq!(task["retries"], 1, "{task:#}");
        fleet.stop().await;
    });
}

#[test]
fn without_a_browser_that_starts_pages_are_read_as_they_are() {
    test(async |nats| {
        let site = serve(Router::new().route("/", page(BUILT))).await;
        let fleet = fleet(nats, &["browser.path=/bin/false"]).await;
        for n in 0..7 {
            let task = scrape(&fleet, json!({"url": site, "render": "always"})).await;
            assert_eq!(task["status"], "completed", "{task:#}");
            assert_eq!(task["result"]["rendered"], "skipped", "{task:#}");
            let reason = task["result"]["render_reason"].as_str().unwrap();
            let expected = if n < 5 { "/bin/false" } else { "breaker" };
            assert!(reason.contains(expected), "{n}: {reason}");
        }
        fleet.stop().await;
    });
}

/// A browser as somebody else would run it.
struct Remote {
    process: Child,
    _profile: tempfile::TempDir,
}

impl Remote {
    fn start(port: u16) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let programs = ["chromium", "google-chrome", "chromium-browser"];
        let path = std::env::var_os("PATH").unwrap();
        let program = std::env::split_paths(&path)
            .flat_map(|directory| programs.map(|name| directory.join(name)))
            .find(|program| program.exists())
            .expect("there is no Chromium: scripts/chromium.sh brings one");
        let child = Command::new(program)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .arg(format!("--remote-debugging-port={port}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process: child,
            _profile: profile,
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_browser_that_runs_elsewhere_is_held_to_the_same_bounds() {
    test(async |nats| {
        let (secret, visits) = canary().await;
        let html = format!(
            "<body><h1>Far away</h1><p id=log></p><script>fetch('{secret}', {{mode: 'no-cors'}})
            .then(r => 'came', () => 'failed').then(t => log.textContent = 'It ' + t)</script>"
        );
        let site = serve(Router::new().route("/", page(html))).await;
        let port = free_port();
        let _browser = Remote::start(port);
        eventually("the browser listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        let url = format!("browser.url=http://127.0.0.1:{port}");
        let fleet = fleet(nats, &[&url]).await;
        let result = rendered(&fleet, &site).await;
        let content = result["content"].as_str().unwrap();
        assert!(content.contains("It failed"), "{content}");
        fleet.stop().await;
        assert_eq!(visits.load(Ordering::Relaxed), 0);
    });
}
