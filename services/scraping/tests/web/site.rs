//! A web server on a port of its own, and the settings that let the handler reach it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use flate2::{Compression, write::GzEncoder};
use flotilla_common::model::Outcome;
use flotilla_scraping::{Config, Payload, ScrapeHandler};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) struct Site {
    port: u16,
    requests: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let count = move |request: Request, next: Next| {
            counter.fetch_add(1, Ordering::Relaxed);
            next.run(request)
        };
        let router = router.layer(from_fn(count));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            requests,
            server,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The address where nobody listens any more.
    pub(crate) async fn stop(self) -> String {
        self.server.abort();
        let _ = self.server.await;
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// Reaches this machine, at once, without asking robots.txt.
pub(crate) fn local() -> Config {
    Config {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        requests_per_second_per_host: 1_000.0,
        robots: false,
        ..Config::default()
    }
}

pub(crate) fn payload(url: &str) -> Payload {
    serde_json::from_value(serde_json::json!({ "url": url })).unwrap()
}

pub(crate) async fn scrape(config: &Config, url: &str) -> Outcome {
    config.validate().unwrap();
    ScrapeHandler::new(config)
        .unwrap()
        .scrape(payload(url))
        .await
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A body without an end, a piece at a time.
pub(crate) fn endless(pause: Duration) -> Body {
    let pieces = futures::stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((
            Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1_024])),
            (),
        ))
    });
    Body::from_stream(pieces)
}

/// The address of a server that hangs up in the middle of its answer.
pub(crate) async fn interrupted() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1_024]).await;
        let head =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n<p>only";
        stream.write_all(head).await.unwrap();
    });
    format!("http://{address}/")
}
