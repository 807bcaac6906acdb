//! robots.txt and the pace per host, against a small web server of its own per test.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::{Router, response::Html, routing::get};
use flotilla_common::model::Outcome;
use flotilla_scraping::{Config, ScrapeHandler};

use crate::site::{Site, local, payload, scrape};

fn polite() -> Config {
    Config {
        robots: true,
        ..local()
    }
}

fn pages() -> Router {
    let page = || get(|| async { Html("<p>page") });
    Router::new()
        .route("/open", page())
        .route("/closed", page())
}

async fn code(config: &Config, url: &str) -> String {
    match scrape(config, url).await {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Retry { failure, .. } => format!("retry {}", failure.code),
        Outcome::Defer { reason, .. } => format!("defer {}", reason.code),
        Outcome::Reject(failure) => format!("reject {}", failure.code),
    }
}

#[tokio::test]
async fn robots_are_obeyed() {
    let robots = "User-agent: *\nDisallow: /open\n\nUser-agent: Flotilla\nDisallow: /closed\n";
    let site = Site::start(pages().route("/robots.txt", get(move || async move { robots }))).await;
    assert_eq!(code(&polite(), &site.url("/open")).await, "done");
    assert_eq!(
        code(&polite(), &site.url("/closed")).await,
        "reject robots_denied"
    );
    assert_eq!(code(&local(), &site.url("/closed")).await, "done");
    let other = Config {
        user_agent: "Other/1.0".to_owned(),
        ..polite()
    };
    assert_eq!(
        code(&other, &site.url("/open")).await,
        "reject robots_denied"
    );
}

#[tokio::test]
async fn a_redirect_into_a_closed_part_is_denied() {
    let to_closed = get(|| async { (StatusCode::FOUND, [(LOCATION, "/closed")]) });
    let robots = get(|| async { "User-agent: *\nDisallow: /closed\n" });
    let site = Site::start(
        pages()
            .route("/way", to_closed)
            .route("/robots.txt", robots),
    )
    .await;
    assert_eq!(
        code(&polite(), &site.url("/way")).await,
        "reject robots_denied"
    );
}

#[tokio::test]
async fn a_missing_file_allows_and_a_broken_server_does_not() {
    let missing = Site::start(pages()).await;
    assert_eq!(code(&polite(), &missing.url("/closed")).await, "done");

    let moved = get(|| async { (StatusCode::FOUND, [(LOCATION, "/rules")]) });
    let rules = get(|| async { "User-agent: *\nDisallow: /closed\n" });
    let moved = Site::start(pages().route("/robots.txt", moved).route("/rules", rules)).await;
    assert_eq!(
        code(&polite(), &moved.url("/closed")).await,
        "reject robots_denied"
    );

    let away = get(|| async {
        (
            StatusCode::FOUND,
            [(LOCATION, "http://10.0.0.1/robots.txt")],
        )
    });
    let away = Site::start(pages().route("/robots.txt", away)).await;
    assert_eq!(code(&polite(), &away.url("/open")).await, "done");

    let broken = get(|| async { (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "9")]) });
    let broken = Site::start(pages().route("/robots.txt", broken)).await;
    match scrape(&polite(), &broken.url("/open")).await {
        Outcome::Retry { failure, after } => {
            assert_eq!(failure.code.as_str(), "robots_unavailable");
            assert_eq!(after, Some(Duration::from_secs(9)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_file_is_read_once_for_many_pages() {
    let robots = get(|| async { "User-agent: *\nDisallow: /closed\n" });
    let site = Site::start(pages().route("/robots.txt", robots)).await;
    let handler = ScrapeHandler::new(&polite()).unwrap();
    let url = site.url("/open");
    let pages = (0..5).map(|_| handler.scrape(payload(&url)));
    for outcome in futures::future::join_all(pages).await {
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    assert_eq!(site.requests(), 6);
}

#[tokio::test]
async fn a_host_is_asked_at_its_pace() {
    let site = Site::start(pages()).await;
    let config = Config {
        requests_per_second_per_host: 5.0,
        ..local()
    };
    let handler = ScrapeHandler::new(&config).unwrap();
    let url = site.url("/open");
    let started = Instant::now();
    let pages = (0..4).map(|_| handler.scrape(payload(&url)));
    for outcome in futures::future::join_all(pages).await {
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    // Two pass at once, the others 200 ms apart.
    assert!(started.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_turn_too_far_ahead_goes_back_to_the_queue() {
    let robots = get(|| async { "User-agent: *\nCrawl-delay: 3\n" });
    let site = Site::start(pages().route("/robots.txt", robots)).await;
    let short = Duration::from_secs(4);
    let handler = ScrapeHandler::new(&Config {
        total_timeout: short,
        connect_timeout: short,
        ..polite()
    });
    let handler = handler.unwrap();
    let url = site.url("/open");
    assert!(matches!(
        handler.scrape(payload(&url)).await,
        Outcome::Done(_)
    ));
    match handler.scrape(payload(&url)).await {
        Outcome::Defer { reason, after } => {
            assert_eq!(reason.code.as_str(), "host_busy");
            assert!(after > Duration::from_secs(2), "{after:?}");
        }
        other => panic!("{other:?}"),
    }
}
