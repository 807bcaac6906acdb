//! The handler against a small web server of its own per test.

use std::time::{Duration, Instant};

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::routing::get;
use axum::{Router, body::Body, http::StatusCode};
use flotilla_common::model::Outcome;
use flotilla_scraping::{Config, ScrapeHandler};
use serde_json::{Value, json};

use crate::site::{Site, endless, gzip, interrupted, local, scrape};

async fn done(config: &Config, url: &str) -> Value {
    match scrape(config, url).await {
        Outcome::Done(result) => result,
        other => panic!("{url}: {other:?}"),
    }
}

async fn rejected(config: &Config, url: &str) -> (String, String) {
    match scrape(config, url).await {
        Outcome::Reject(failure) => (failure.code.to_string(), failure.message),
        other => panic!("{url}: {other:?}"),
    }
}

async fn retried(config: &Config, url: &str) -> (String, Option<Duration>) {
    match scrape(config, url).await {
        Outcome::Retry { failure, after } => (failure.code.to_string(), after),
        other => panic!("{url}: {other:?}"),
    }
}

fn html(body: impl Into<Vec<u8>>) -> ([(axum::http::HeaderName, &'static str); 1], Vec<u8>) {
    ([(CONTENT_TYPE, "text/html")], body.into())
}

#[tokio::test]
async fn a_page_becomes_a_result() {
    let page =
        "<html lang=en><title>Manual</title><main><h1>Manual</h1><p>Hello <a href=b>b</a></main>";
    let site = Site::start(Router::new().route("/a", get(move || async move { html(page) }))).await;
    let url = site.url("/a#part");
    let payload = json!({"url": url, "brand": "acme", "priority": "NORMAL"});
    let handler = ScrapeHandler::new(&local()).unwrap();
    let Outcome::Done(result) = handler
        .scrape(serde_json::from_value(payload).unwrap())
        .await
    else {
        panic!("not done");
    };
    assert_eq!(result["url"], url);
    assert_eq!(result["final_url"], site.url("/a#part"));
    assert_eq!(result["status"], 200);
    assert_eq!(result["title"], "Manual");
    let expected = format!("# Manual\n\nHello [b]({})", site.url("/b"));
    assert_eq!(result["content"], expected);
    assert_eq!(result["truncated"], false);
    assert_eq!(
        result["links"],
        json!([{"url": site.url("/b"), "text": "b"}])
    );
    assert_eq!(result["content_type"], "text/html");
    assert_eq!(result["content_hash"].as_str().unwrap().len(), 64);
    assert_eq!(result["extracted_by"], "main_element");
    assert_eq!(result["language"], "en");
    assert_eq!(result["brand"], "acme");
    assert!(result["scraped_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    let to = |target: &'static str| {
        get(move || async move { (StatusCode::FOUND, [(LOCATION, target)]) })
    };
    let router = Router::new()
        .route("/one", to("two"))
        .route("/two", to("/page"))
        .route("/page", get(|| async { html("<p>here") }))
        .route("/loop", to("/loop"))
        .route("/nowhere", get(|| async { StatusCode::FOUND }));
    let site = Site::start(router).await;
    let result = done(&local(), &site.url("/one")).await;
    assert_eq!(result["final_url"], site.url("/page"));
    assert_eq!(result["content"], "here");
    assert_eq!(
        rejected(&local(), &site.url("/loop")).await.0,
        "too_many_redirects"
    );
    assert_eq!(
        rejected(&local(), &site.url("/nowhere")).await.0,
        "bad_redirect"
    );
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let targets = [
        "http://127.0.0.2/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706434/",
        "http://user:secret@1.1.1.1/",
        "http://1.1.1.1:22/",
        "file:///etc/passwd",
    ];
    let mut router = Router::new();
    for (number, target) in targets.into_iter().enumerate() {
        let redirect = get(move || async move { (StatusCode::FOUND, [(LOCATION, target)]) });
        router = router.route(&format!("/{number}"), redirect);
    }
    let site = Site::start(router).await;
    let config = Config {
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..local()
    };
    for (number, target) in targets.iter().enumerate() {
        let (code, message) = rejected(&config, &site.url(&format!("/{number}"))).await;
        assert_eq!(code, "address_refused", "{target}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn nothing_private_is_called_by_default() {
    let site = Site::start(Router::new().route("/", get(|| async { html("<p>secret") }))).await;
    let config = Config {
        allowed_ports: vec![site.port()],
        ..Config::default()
    };
    // The name goes through the resolver, the others through the check of the address.
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "127.0.0.1.",
    ] {
        let (code, message) = rejected(&config, &format!("http://{host}:{}/", site.port())).await;
        assert_eq!(code, "address_refused", "{host}: {message}");
        assert!(
            message.contains("loopback") || message.contains("wraps"),
            "{message}"
        );
    }
    assert_eq!(site.requests(), 0);
}

#[tokio::test]
async fn a_name_on_an_odd_port_must_be_in_an_opened_network() {
    let site = Site::start(Router::new().route("/", get(|| async { html("<p>intranet") }))).await;
    let url = format!("http://localhost:{}/", site.port());
    assert_eq!(done(&local(), &url).await["content"], "intranet");
    let other = Config {
        allow_networks: vec!["10.0.0.0/8".parse().unwrap()],
        ..local()
    };
    assert_eq!(rejected(&other, &url).await.0, "address_refused");
}

#[tokio::test]
async fn statuses_are_told_apart() {
    let router = Router::new()
        .route("/gone", get(|| async { StatusCode::GONE }))
        .route(
            "/busy",
            get(|| async { (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "7")]) }),
        )
        .route(
            "/broken",
            get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        );
    let site = Site::start(router).await;
    assert_eq!(rejected(&local(), &site.url("/gone")).await.0, "http_410");
    let busy = retried(&local(), &site.url("/busy")).await;
    assert_eq!(busy, ("http_429".to_owned(), Some(Duration::from_secs(7))));
    let broken = retried(&local(), &site.url("/broken")).await;
    assert_eq!(broken, ("http_500".to_owned(), None));
}

#[tokio::test]
async fn bodies_are_limited() {
    let bomb = gzip(&vec![b' '; 50 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let packed = get(move || async move {
        (
            [(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")],
            bomb,
        )
    });
    let small = get(|| async {
        let body = gzip(b"<p>packed");
        (
            [(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")],
            body,
        )
    });
    let router = Router::new()
        .route("/bomb", packed)
        .route("/small", small)
        .route("/large", get(|| async { html(vec![b'x'; 2_000_000]) }))
        .route(
            "/endless",
            get(|| async { ([(CONTENT_TYPE, "text/plain")], endless(Duration::ZERO)) }),
        );
    let site = Site::start(router).await;
    let config = Config {
        html_bytes_max: 1_000_000,
        ..local()
    };
    for path in ["/bomb", "/large", "/endless"] {
        let (code, message) = rejected(&config, &site.url(path)).await;
        assert_eq!(code, "too_large", "{path}: {message}");
    }
    assert_eq!(
        done(&config, &site.url("/small")).await["content"],
        "packed"
    );
}

#[tokio::test]
async fn slow_answers_time_out() {
    let silent = get(|| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        html("late")
    });
    let dripping = get(|| async {
        (
            [(CONTENT_TYPE, "text/html")],
            endless(Duration::from_millis(50)),
        )
    });
    let site = Site::start(
        Router::new()
            .route("/silent", silent)
            .route("/drip", dripping),
    )
    .await;
    let limit = Duration::from_millis(400);
    let config = Config {
        total_timeout: limit,
        connect_timeout: limit,
        ..local()
    };
    for path in ["/silent", "/drip"] {
        let started = Instant::now();
        assert_eq!(
            retried(&config, &site.url(path)).await.0,
            "timeout",
            "{path}"
        );
        assert!(started.elapsed() < limit * 5, "{path}");
    }
}

#[tokio::test]
async fn broken_connections_are_retried() {
    assert_eq!(
        retried(&local(), &interrupted().await).await.0,
        "body_interrupted"
    );
    // A server that does not speak TLS.
    let plain = Site::start(Router::new()).await;
    let secure = plain.url("/").replace("http:", "https:");
    assert_eq!(retried(&local(), &secure).await.0, "connect");
    // A port that was free a moment ago has no listener.
    let closed = Site::start(Router::new()).await.stop().await;
    assert_eq!(retried(&local(), &closed).await.0, "connect");
    let unknown = retried(&local(), "http://no-such-host.invalid/").await;
    assert_eq!(unknown.0, "dns");
}

#[tokio::test]
async fn pages_in_other_character_sets_are_read() {
    let japanese =
        b"<meta charset=shift_jis><title>\x93\xfa\x96\x7b</title><p>\x93\xfa\x96\x7b\x8c\xea";
    let french = b"<p>d\xe9j\xe0 vu \x96 5 \x80";
    let russian = b"<p>\xcf\xf0\xe8\xe2\xe5\xf2";
    let router = Router::new()
        .route("/ja", get(move || async move { html(japanese) }))
        .route("/fr", get(move || async move { html(french) }))
        .route(
            "/ru",
            get(move || async move {
                (
                    [(CONTENT_TYPE, "text/html; charset=windows-1251")],
                    &russian[..],
                )
            }),
        );
    let site = Site::start(router).await;
    let result = done(&local(), &site.url("/ja")).await;
    assert_eq!(
        (&result["title"], &result["content"]),
        (&json!("日本"), &json!("日本語"))
    );
    assert_eq!(
        done(&local(), &site.url("/fr")).await["content"],
        "déjà vu – 5 €"
    );
    assert_eq!(done(&local(), &site.url("/ru")).await["content"], "Привет");
}

#[tokio::test]
async fn other_documents_are_kept_or_refused_by_type() {
    let typed = |content_type: &'static str, body: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, content_type)], body) })
    };
    let router = Router::new()
        .route("/readme.md", typed("text/markdown", "# Read me\n\n*text*"))
        .route("/notes.txt", typed("text/plain; charset=utf-8", "a < b"))
        .route("/film.mp4", typed("video/mp4", "film"))
        .route(
            "/untyped",
            get(|| async { Body::from("<!doctype html><p>page") }),
        );
    let site = Site::start(router).await;
    let markdown = done(&local(), &site.url("/readme.md")).await;
    assert_eq!(
        (&markdown["title"], &markdown["content"]),
        (&json!("Read me"), &json!("# Read me\n\n*text*"))
    );
    let text = done(&local(), &site.url("/notes.txt")).await;
    assert_eq!(
        (&text["title"], &text["content"]),
        (&json!("notes.txt"), &json!("a < b"))
    );
    assert_eq!(text["extracted_by"], "plain_text");
    assert_eq!(
        done(&local(), &site.url("/untyped")).await["content"],
        "page"
    );
    let (code, message) = rejected(&local(), &site.url("/film.mp4")).await;
    assert_eq!(code, "unsupported_type");
    assert!(
        message.contains("video/mp4") && message.contains("HTML"),
        "{message}"
    );
}

#[tokio::test]
async fn deep_pages_are_refused_and_long_ones_cut() {
    let long = "<p>A paragraph of some length.</p>".repeat(1_000);
    let router = Router::new()
        .route("/deep", get(|| async { html("<div>".repeat(20_000)) }))
        .route("/long", get(move || async move { html(long) }));
    let site = Site::start(router).await;
    assert_eq!(rejected(&local(), &site.url("/deep")).await.0, "too_deep");
    let config = Config {
        content_bytes_max: 2_000,
        ..local()
    };
    let result = done(&config, &site.url("/long")).await;
    assert_eq!(result["truncated"], true);
    assert!(result["content"].as_str().unwrap().len() <= 2_000);
}
