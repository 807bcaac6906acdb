//! Requests as metrics: by the template of their route, never by their path, which names tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use flotilla_common::metrics::{
    HTTP_IN_FLIGHT, HTTP_REQUESTS, HTTP_STREAMS, Registry, Samples, Source,
};
use flotilla_common::model::Histogram;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{Gateway, trace};

/// The route of what leads nowhere, and the method of what is none of the usual ones: clients
/// choose both, and must not make series with them.
const OTHER: &str = "other";

pub(crate) struct Requests {
    answered: Arc<Answered>,
    /// Those that are not answered yet, and streams that are open: draining waits for them.
    pub(crate) open: TaskTracker,
    /// Seats for event streams.
    pub(crate) streams: Arc<Semaphore>,
    streams_max: usize,
}

#[derive(Default)]
struct Answered(Mutex<BTreeMap<String, ByKind>>);

/// Of a route, by method and status.
type ByKind = BTreeMap<Kind, Histogram>;
type Kind = (&'static str, u16);

impl Requests {
    /// Those of now are shown for as long as this is kept.
    pub(crate) fn show(registry: &Registry, streams_max: usize) -> Arc<Self> {
        let requests = Arc::new(Self {
            answered: Arc::default(),
            open: TaskTracker::new(),
            streams: Arc::new(Semaphore::new(streams_max)),
            streams_max,
        });
        registry.keep(&requests.answered);
        registry.add(&requests);
        requests
    }
}

impl Answered {
    fn routes(&self) -> MutexGuard<'_, BTreeMap<String, ByKind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, route: &str, kind: Kind, began: Instant) {
        let mut routes = self.routes();
        if let Some(kinds) = routes.get_mut(route) {
            kinds.entry(kind).or_default().record(began.elapsed());
            return;
        }
        let kinds = routes.entry(route.to_owned()).or_default();
        kinds.entry(kind).or_default().record(began.elapsed());
    }
}

/// Keeps a request among the open ones until it is answered, and counts it then.
pub(crate) async fn count<A: Future<Output = Response>>(
    gateway: &Gateway,
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let _open = gateway.requests.open.token();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, began) = (usual(request.method()), Instant::now());
    let mut response = trace::around(gateway.broker.traces(), request, answer).await;
    if gateway.leaving.is_cancelled() {
        // The client's next request goes to another gateway, before this one ends under it.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    let route = route.as_ref().map_or(OTHER, MatchedPath::as_str);
    let kind = (method, response.status().as_u16());
    gateway.requests.answered.count(route, kind, began);
    response
}

fn usual(method: &Method) -> &'static str {
    let usual = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    let found = usual.into_iter().find(|usual| *usual == method.as_str());
    found.unwrap_or(OTHER)
}

impl Source for Requests {
    fn collect(&self, samples: &mut Samples) {
        let taken = self
            .streams_max
            .saturating_sub(self.streams.available_permits());
        samples.count(&HTTP_STREAMS, &[], taken as u64);
        // A stream keeps its request open, and is counted by itself.
        let open = self.open.len().saturating_sub(taken);
        samples.count(&HTTP_IN_FLIGHT, &[], open as u64);
    }
}

impl Source for Answered {
    fn collect(&self, samples: &mut Samples) {
        for (route, kinds) in self.routes().iter() {
            for ((method, status), durations) in kinds {
                let labels = [route, *method, &status.to_string()];
                samples.durations(&HTTP_REQUESTS, &labels, durations);
            }
        }
    }
}
