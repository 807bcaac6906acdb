//! Servers that lie, repeat themselves, or send what was made to hurt; and what a page was
//! before.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use flotilla_common::model::Outcome;
use flotilla_scraping::{Config, ScrapeHandler};
use serde_json::{Value, json};

use crate::site::{Site, gzip, local, scrape};

fn typed(content_type: &'static str, body: Vec<u8>) -> axum::routing::MethodRouter {
    get(move || async move { ([(CONTENT_TYPE, content_type)], body) })
}

fn code(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Retry { failure, .. } => format!("retry {}", failure.code),
        Outcome::Defer { reason, .. } => format!("defer {}", reason.code),
        Outcome::Reject(failure) => format!("reject {}", failure.code),
    }
}

#[tokio::test]
async fn what_a_server_calls_its_answer_is_checked_against_it() {
    let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR".to_vec();
    let router = Router::new()
        .route("/png", typed("text/html", png))
        .route("/zip", typed("text/plain", b"PK\x03\x04rest".to_vec()))
        .route(
            "/page.pdf",
            typed("application/pdf", b"<!doctype html><p>Log in".to_vec()),
        )
        .route(
            "/no.pdf",
            typed("application/pdf", b"no such file".to_vec()),
        )
        .route("/bytes", typed("application/octet-stream", vec![0, 1, 2]))
        .route("/film", typed("video/mp4", b"<p>no film".to_vec()));
    let site = Site::start(router).await;
    for (path, expected) in [
        ("/png", "reject unsupported_type"),
        ("/zip", "reject unsupported_type"),
        ("/page.pdf", "done"),
        ("/no.pdf", "reject unsupported_type"),
        ("/bytes", "reject unsupported_type"),
        ("/film", "reject unsupported_type"),
    ] {
        let outcome = scrape(&local(), &site.url(path)).await;
        assert_eq!(code(&outcome), expected, "{path}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_charset_that_is_a_lie_loses_no_page() {
    let lies = "text/html; charset=utf-8";
    let router = Router::new()
        .route("/latin", typed(lies, b"<p>caf\xe9 open".to_vec()))
        .route(
            "/nonsense",
            typed("text/html; charset=klingon", "<p>grün".as_bytes().to_vec()),
        );
    let site = Site::start(router).await;
    let Outcome::Done(latin) = scrape(&local(), &site.url("/latin")).await else {
        panic!("not done");
    };
    assert!(
        latin["content"].as_str().unwrap().ends_with("open"),
        "{latin}"
    );
    let Outcome::Done(nonsense) = scrape(&local(), &site.url("/nonsense")).await else {
        panic!("not done");
    };
    assert_eq!(nonsense["content"], "grün");
}

#[tokio::test]
async fn huge_links_and_many_of_them_leave_a_page() {
    let huge = format!("<a href='/{}'>huge</a>", "x".repeat(100_000));
    let many: String = (0..5_000)
        .map(|n| format!("<a href='/{n}'>{n}</a> "))
        .collect();
    let page = format!("<main><p>Words.</p>{huge}{many}</main>").into_bytes();
    let site = Site::start(Router::new().route("/", typed("text/html", page))).await;
    let Outcome::Done(result) = scrape(&local(), &site.url("/")).await else {
        panic!("not done");
    };
    let links = result["links"].as_array().unwrap();
    assert_eq!(links.len(), Config::default().links_max);
    assert!(
        links
            .iter()
            .all(|link| link["url"].as_str().unwrap().len() < 2_000)
    );
}

#[tokio::test]
async fn redirects_in_a_circle_and_bombs_within_bombs_end() {
    let to = |target: &'static str| {
        get(move || async move { (StatusCode::MOVED_PERMANENTLY, [(LOCATION, target)]) })
    };
    let bomb = gzip(&gzip(&vec![b' '; 50 * 1024 * 1024]));
    let twice = get(move || async move {
        let headers: [(HeaderName, &str); 2] = [
            (CONTENT_TYPE, "text/html"),
            (CONTENT_ENCODING, "gzip, gzip"),
        ];
        (headers, bomb)
    });
    let router = Router::new()
        .route("/a", to("/b"))
        .route("/b", to("/c"))
        .route("/c", to("/a"))
        .route("/bomb", twice);
    let site = Site::start(router).await;
    let circle = scrape(&local(), &site.url("/a")).await;
    assert_eq!(code(&circle), "reject too_many_redirects");
    // Inflated as far as the limit, or refused as what it is after one layer.
    let bomb = scrape(&local(), &site.url("/bomb")).await;
    assert!(matches!(bomb, Outcome::Reject(_)), "{bomb:?}");
}

/// A page with both validators, which answers 304 where one of them is known.
async fn versioned(request: Request) -> axum::response::Response {
    let has =
        |name: HeaderName, value: &str| request.headers().get(name).is_some_and(|it| it == value);
    let validators = [
        (ETAG, "\"v1\""),
        (LAST_MODIFIED, "Mon, 02 Mar 2026 10:00:00 GMT"),
    ];
    if has(IF_NONE_MATCH, "\"v1\"") || has(IF_MODIFIED_SINCE, "Mon, 02 Mar 2026 10:00:00 GMT") {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let page = [(CONTENT_TYPE, "text/html")];
    (validators, page, "<p>The pump has one valve.").into_response()
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let moved = get(|| async { (StatusCode::FOUND, [(LOCATION, "/page")]) });
    let router = Router::new()
        .route("/page", get(versioned))
        .route("/moved", moved);
    let site = Site::start(router).await;
    let handler = ScrapeHandler::new(&local()).unwrap();
    let ask = async |known: Value| {
        let mut payload = json!({"url": site.url("/moved"), "brand": "acme"});
        payload
            .as_object_mut()
            .unwrap()
            .extend(known.as_object().unwrap().clone());
        match handler
            .scrape(serde_json::from_value(payload).unwrap())
            .await
        {
            Outcome::Done(result) => result,
            other => panic!("{other:?}"),
        }
    };
    let first = ask(json!({})).await;
    assert_eq!(first["etag"], "\"v1\"");
    assert_eq!(first["changed"], Value::Null);
    let hash = first["content_hash"].clone();

    for (known, status) in [
        (json!({"etag": first["etag"]}), 304),
        (json!({"last_modified": first["last_modified"]}), 304),
        (json!({"etag": "\"v1\"", "if_changed_from": hash}), 304),
        (json!({"if_changed_from": hash}), 200),
        // The server sends it again, and it is the same after all.
        (json!({"etag": "\"v0\"", "if_changed_from": hash}), 200),
    ] {
        let again = ask(known.clone()).await;
        assert_eq!(again["changed"], false, "{known}: {again}");
        assert_eq!(again["status"], status, "{known}");
        assert_eq!(again["content"], Value::Null, "{known}");
        assert_eq!(again["final_url"], site.url("/page"));
        assert_eq!(again["brand"], "acme");
    }
    let changed = ask(json!({"if_changed_from": "0".repeat(64)})).await;
    assert_eq!(
        (&changed["changed"], &changed["content_hash"]),
        (&json!(true), &hash)
    );
}

#[tokio::test]
async fn a_server_that_answers_not_modified_unasked_has_no_page() {
    let router = Router::new().route("/", get(|| async { StatusCode::NOT_MODIFIED }));
    let site = Site::start(router).await;
    let outcome = scrape(&local(), &site.url("/")).await;
    assert_eq!(code(&outcome), "reject http_304");
}

#[tokio::test]
async fn a_site_whose_robots_file_drips_is_asked_later() {
    let drip = get(|| async {
        (
            [(CONTENT_TYPE, "text/plain")],
            crate::site::endless(Duration::from_millis(50)),
        )
    });
    let router = Router::new()
        .route("/robots.txt", drip)
        .route("/", typed("text/html", b"<p>page".to_vec()));
    let site = Site::start(router).await;
    let limit = Duration::from_millis(400);
    let config = Config {
        robots: true,
        total_timeout: limit,
        connect_timeout: limit,
        ..local()
    };
    let outcome = scrape(&config, &site.url("/")).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}
