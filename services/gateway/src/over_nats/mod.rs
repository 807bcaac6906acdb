//! The same API for who has a NATS connection and nothing else: requests to the subjects in
//! `model::Call`, found and watched by `nats service`. Submissions are taken as over HTTP; every other
//! call is carried to its route. Who may call what is the broker's to say: by permissions on the
//! subjects, and no keys.

mod carry;
mod lane;
mod reply;
mod seats;
mod submission;
mod traced;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use flotilla_common::broker::header_names::PROTOCOL_VERSION;
use flotilla_common::broker::{About, BrokerError, Endpoint, Request, Requests, Service};
use flotilla_common::model::{Call, Does, PROTOCOL, other_protocol};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::carry::Operation;
use self::seats::Seats;
use crate::problem::{Kind, Problem};
use crate::{Gateway, protocol, routes};

const ABOUT: About = About {
    name: "flotilla",
    description: "Submits tasks, asks for their outcomes, and runs the fleet.",
};

/// What a request meets.
struct Serving {
    gateway: Arc<Gateway>,
    router: Router,
    /// By their ids.
    operations: HashMap<String, Operation>,
    seats: Seats,
}

pub(crate) struct Server {
    serving: Arc<Serving>,
    service: Service,
    requests: Requests,
}

impl Server {
    /// From here on requests come in.
    pub(crate) async fn start(gateway: Arc<Gateway>) -> Result<Self, BrokerError> {
        let metadata = [
            ("protocol", PROTOCOL.to_string()),
            ("asyncapi", protocol::PATH.to_owned()),
        ];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value));
        let service = gateway
            .broker
            .service(ABOUT, BTreeMap::from(metadata))
            .await?;
        let operations = carry::operations(&routes::table());
        let endpoints = Call::ALL.iter().map(|call| endpoint(call, &operations));
        let requests = service.serve(endpoints.collect()).await?;
        let serving = Serving {
            router: routes::calls(Arc::clone(&gateway)),
            operations,
            seats: Seats::new(gateway.config.asks_max),
            gateway,
        };
        Ok(Self {
            serving: Arc::new(serving),
            service,
            requests,
        })
    }

    /// Answers until the gateway stops, and then what had come in.
    pub(crate) async fn run(mut self) {
        let gateway = Arc::clone(&self.serving.gateway);
        let answering = TaskTracker::new();
        let enter = |request| {
            answering.spawn(enter(Arc::clone(&self.serving), request));
        };
        loop {
            tokio::select! {
                biased;
                () = gateway.stop.cancelled() => break,
                request = self.requests.next() => match request {
                    Some(request) => enter(request),
                    None => break,
                },
            }
        }
        self.service.stop().await;
        let rest = async {
            while let Some(request) = self.requests.next().await {
                enter(request);
            }
            answering.close();
            answering.wait().await;
        };
        if tokio::time::timeout(gateway.config.drain_grace, rest)
            .await
            .is_err()
        {
            tracing::warn!("the grace period is over; requests over NATS stay unanswered");
        }
    }
}

fn endpoint(call: &Call, operations: &HashMap<String, Operation>) -> Endpoint {
    let summary = |id: &str| operations.get(id)?.summary.clone();
    let metadata = [
        ("scope", call.scope.name().to_owned()),
        ("description", protocol::about(call, summary)),
        (
            "schema",
            format!("{}#/channels/{}", protocol::PATH, call.name),
        ),
    ];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value));
    Endpoint {
        name: call.name.to_owned(),
        subject: call.subject(),
        metadata: BTreeMap::from(metadata),
    }
}

/// Where every request over NATS comes in, and leaves.
async fn enter(serving: Arc<Serving>, request: Request) {
    let answering = async {
        let answered = serving.answer(&request).await;
        answered.unwrap_or_else(IntoResponse::into_response)
    };
    let traces = serving.gateway.broker.traces();
    // Boxed: the futures of all calls in one are large.
    let answering = Box::pin(answering);
    let response = traced::around(traces, &request, answering).await;
    reply::send(&serving.gateway, request, response).await;
}

impl Serving {
    async fn answer(&self, request: &Request) -> Result<Response, Problem> {
        if let Some(other) = request.header(PROTOCOL_VERSION).and_then(other_protocol) {
            let why = format!("{PROTOCOL_VERSION} is {other}, and this fleet speaks {PROTOCOL}");
            return Err(Problem::invalid(PROTOCOL_VERSION, why)
                .remedy("leave the header out, or use a client for this version"));
        }
        let Some(call) = Call::of(request.subject()) else {
            return Err(Problem::new(Kind::UnknownPath, "there is no such call"));
        };
        match call.does {
            Does::Ask => {
                let submission = submission::take_to_ask(request)?;
                let wait = submission.wait_or(&self.gateway.config)?;
                let _seat = self.seats.to_wait()?;
                submission.submit(&self.gateway, wait).await
            }
            Does::Submit => {
                let submission = submission::take(request)?;
                submission.must_not_wait()?;
                let _seat = self.seats.brief()?;
                submission.submit(&self.gateway, None).await
            }
            Does::Describe => Ok(protocol::served().into_response()),
            Does::Carry(operation) => self.carry(operation, request).await,
        }
    }

    async fn carry(&self, operation: &str, request: &Request) -> Result<Response, Problem> {
        let Some(carried) = self.operations.get(operation) else {
            // A test sees to it that each one has its route.
            tracing::error!(operation, "a call over NATS has no route");
            return Err(Problem::new(Kind::Internal, "this call leads nowhere"));
        };
        let (call, waits) = carried.request(request)?;
        let _seat = match waits {
            true => self.seats.to_wait()?,
            false => self.seats.brief()?,
        };
        let answered = self.router.clone().oneshot(call).await;
        Ok(answered.unwrap_or_else(|never| match never {}))
    }
}
