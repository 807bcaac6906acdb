//! A small web site on the loopback address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;

pub(crate) struct Site {
    pub(crate) url: String,
    visits: Arc<AtomicUsize>,
}

impl Site {
    /// `/page/<n>` answers at once, `/slow/<n>` after as many milliseconds, `/flaky/<n>/<name>`
    /// with a page after so many failures.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let visits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&visits);
        let failures = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
        let pages = Router::new()
            .route(
                "/page/{n}",
                get(async move |Path(n): Path<u64>| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    page(n)
                }),
            )
            .route(
                "/slow/{millis}",
                get(async |Path(millis): Path<u64>| {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    page(millis)
                }),
            )
            .route(
                "/flaky/{n}/{name}",
                get(async move |Path((n, name)): Path<(u64, String)>| {
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    let failed = failures.entry(name).or_default();
                    *failed += 1;
                    match *failed > n {
                        true => Ok(page(n)),
                        false => Err(StatusCode::SERVICE_UNAVAILABLE),
                    }
                }),
            );
        tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
        Self { url, visits }
    }

    pub(crate) fn page(&self, n: usize) -> String {
        format!("{}/page/{n}", self.url)
    }

    pub(crate) fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }
}

fn page(n: u64) -> Html<String> {
    Html(format!(
        "<html lang=en><title>Page {n}</title><nav>menu</nav><main><h1>Pump P-{n}</h1>\
         <p>To reset the pump, hold the button for {n} seconds and let it go again.</p>\
         <p><a href=/page/{next}>The next page</a></p></main><footer>imprint</footer>",
        next = n + 1
    ))
}
