//! The fleet's API, over HTTP or, where somebody names a broker, within this process: the
//! gateway's own routes on a connection to NATS. Commands do not know which.

mod answer;
mod events;
mod http;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, header};
use flotilla_common::service::{Context, Settings};
use flotilla_gateway::Direct;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::exit::{Code, Failed};

pub(crate) use answer::Answer;
use answer::{Body as Answering, Response};
pub(crate) use events::{Event, Events};
use http::Http;

/// Where the fleet is, as the command line says it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// The gateway to talk to
    #[arg(
        long,
        value_name = "URL",
        env = "FLOTILLA_SERVER",
        default_value = "http://127.0.0.1:8080",
        global = true,
        help_heading = "Where the fleet is"
    )]
    pub(crate) server: String,
    /// Talk to this broker instead, past any gateway: all commands work, with the rights of the
    /// NATS user, and the limits of section gateway in --config
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help_heading = "Where the fleet is"
    )]
    pub(crate) nats: Option<String>,
    /// The key that the gateway asks for
    #[arg(
        long,
        value_name = "KEY",
        env = "FLOTILLA_API_KEY",
        hide_env_values = true,
        global = true,
        help_heading = "Where the fleet is"
    )]
    pub(crate) api_key: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Api {
    /// What requests are told to be sent to.
    base: Url,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Http(Http),
    Direct(Box<Direct>),
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    api: &'a Api,
    method: Method,
    url: Url,
    body: Option<Value>,
    /// How long the other side may hold the answer back on purpose.
    patience: std::time::Duration,
}

impl Api {
    pub(crate) async fn open(target: &Target, settings: &Settings) -> Result<Self, Failed> {
        let Some(nats) = &target.nats else {
            let base = http::base(&target.server)?;
            let transport = Transport::Http(Http::new(&base, target.api_key.as_deref())?);
            return Ok(Self { base, transport });
        };
        let mut settings = settings.clone();
        settings.set("nats", "url", nats.as_str());
        let wrong = |error: &dyn std::fmt::Display| Failed::usage(error.to_string());
        let config = settings.section("gateway").map_err(|error| wrong(&error))?;
        let context = Context::new(settings, CancellationToken::new());
        let direct = Direct::connect(&context, config).await;
        let direct = direct.map_err(|error| {
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            let failed = Failed::new(Code::Unreachable, error.to_string());
            match causes.is_empty() {
                true => failed,
                false => failed.remedy(format!("because: {}", causes.join(": "))),
            }
        })?;
        Ok(Self {
            base: http::base("http://broker")?,
            transport: Transport::Direct(Box::new(direct)),
        })
    }

    /// What this process has brought about itself is counted by then.
    pub(crate) async fn close(self) {
        if let Transport::Direct(direct) = self.transport {
            direct.close().await;
        }
    }

    /// Whom it talks to, for messages.
    pub(crate) fn address(&self) -> &str {
        match &self.transport {
            Transport::Http(_) => self.base.as_str().trim_end_matches("/api/hp"),
            Transport::Direct(_) => "the broker",
        }
    }

    pub(crate) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        Call {
            api: self,
            method,
            url,
            body: None,
            patience: std::time::Duration::ZERO,
        }
    }

    pub(crate) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &[&str], body: Value) -> Call<'_> {
        let call = self.call(Method::POST, path);
        Call {
            body: Some(body),
            ..call
        }
    }
}

impl Call<'_> {
    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.url
            .query_pairs_mut()
            .append_pair(name, &value.to_string());
        self
    }

    /// Left out where there is nothing to say.
    pub(crate) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn body(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// Has the answer held back for so long, until there is an outcome.
    pub(crate) fn wait(self, wait: std::time::Duration) -> Self {
        let call = self.query("wait", format!("{}ms", wait.as_millis()));
        Self {
            patience: wait,
            ..call
        }
    }

    /// The answer, where it is a good one.
    pub(crate) async fn send(self) -> Result<Answer, Failed> {
        self.send_any().await?.good()
    }

    /// The answer, whatever it is.
    pub(crate) async fn send_any(self) -> Result<Answer, Failed> {
        self.respond(false).await?.whole().await
    }

    /// Events as they come; or the answer, where the other side makes none.
    pub(crate) async fn events(self) -> Result<Events, Failed> {
        self.respond(true).await?.events().await
    }

    async fn respond(self, wants_events: bool) -> Result<Response, Failed> {
        let request = self.request(wants_events)?;
        match &self.api.transport {
            Transport::Http(http) => {
                let patience = (!wants_events).then_some(self.patience);
                http.send(request, patience).await
            }
            Transport::Direct(direct) => {
                let response = direct.call(request.map(Body::from)).await;
                let (head, body) = response.into_parts();
                Ok(Response::new(
                    head.status,
                    &head.headers,
                    Answering::Direct(body),
                ))
            }
        }
    }

    fn request(&self, wants_events: bool) -> Result<Request<Vec<u8>>, Failed> {
        let accepted = match wants_events {
            true => "text/event-stream",
            false => "application/json",
        };
        let uri = match &self.api.transport {
            Transport::Http(_) => self.url.as_str(),
            Transport::Direct(_) => &self.url[url::Position::BeforePath..],
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .header(header::ACCEPT, HeaderValue::from_static(accepted));
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = self.body.as_ref().map(|body| body.to_string().into_bytes());
        let request = request.body(body.unwrap_or_default());
        request.map_err(|error| Failed::usage(format!("this makes no request: {error}")))
    }
}
