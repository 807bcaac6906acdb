//! The connection: kept for ever, and telling when it came back.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, Event, jetstream};
use tokio::sync::watch;

use super::connect::{CONNECT_TIMEOUT, Config, ConnectError, SERVER_VERSION_MIN, explain, options};
use super::link::Link;
use super::roles::Role;
use super::together::Together;
use crate::telemetry::Traces;

/// How long a publish waits for its acknowledgement before it counts as unanswered.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A handle to the broker, cheap to clone.
#[derive(Debug, Clone)]
pub struct Broker {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    /// Without one we may do everything.
    pub(super) role: Option<Role>,
    connections: watch::Receiver<u64>,
    pub(super) traces: Traces,
    pub(super) link: Arc<Link>,
    pub(super) together: Arc<Together>,
}

impl Broker {
    /// Connects once; from then on the connection comes back by itself.
    pub async fn connect(config: &Config, name: &str) -> Result<Self, ConnectError> {
        let (connected, connections) = watch::channel(0);
        let options = options(config)
            .await?
            .name(name)
            .event_callback(move |event| {
                note(&event);
                if matches!(event, Event::Connected) {
                    connected.send_modify(|count| *count += 1);
                }
                std::future::ready(())
            });
        let urls: Vec<&str> = config.url.split(',').map(str::trim).collect();
        let client = options
            .connect(urls)
            .await
            .map_err(|error| explain(config, error))?;
        // The first connection is one that is made anew to nobody: it is counted before anybody
        // could take it for a reason to give up an answer.
        let mut counted = connections.clone();
        let counted = counted.wait_for(|count| *count > 0);
        if tokio::time::timeout(CONNECT_TIMEOUT, counted)
            .await
            .is_err()
        {
            tracing::debug!("the connection was not told of");
        }
        let (major, minor, patch) = SERVER_VERSION_MIN;
        if !client.is_server_compatible(major, minor, patch) {
            return Err(ConnectError::TooOld {
                url: config.shown_url(),
                found: client.server_info().version,
            });
        }
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_TIMEOUT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self {
            link: Link::new(client.clone()),
            together: Arc::default(),
            client,
            jetstream,
            role: config.role,
            connections,
            traces: Traces::off(),
        })
    }

    /// The same, tracing what it sends.
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    /// Where spans go of what this process does with tasks.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Changes each time the connection is made anew from now on: standing requests are lost then.
    pub fn connections(&self) -> watch::Receiver<u64> {
        let mut connections = self.connections.clone();
        connections.mark_unchanged();
        connections
    }

    /// `None` where the connection is made anew before the work is done: an answer that was
    /// due is lost then, and there is no point in waiting for it.
    pub(super) async fn on_one_connection<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut connections = self.connections();
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = connections.changed() => None,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Sends what is still buffered, acks above all, and ends the connection.
    pub async fn close(&self) {
        // The server's answer to a request comes after all that we sent before it.
        let barrier = self.jetstream.query_account();
        if tokio::time::timeout(Duration::from_secs(1), barrier)
            .await
            .is_err()
        {
            tracing::warn!("the broker does not answer: the last acks may be repeated work");
        }
        // Fails only where there is no connection any more.
        let _ = self.client.drain().await;
    }
}

fn note(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the broker"),
        Event::Disconnected => tracing::warn!("disconnected from the broker; reconnecting"),
        Event::LameDuckMode => {
            tracing::info!("the broker is going down for maintenance; moving on")
        }
        Event::ServerError(error) => tracing::error!(%error, "the broker reports an error"),
        Event::ClientError(error) => {
            tracing::warn!(%error, "the broker connection reports an error")
        }
        Event::SlowConsumer(_) => tracing::warn!("messages arrive faster than they are read"),
        Event::Draining | Event::Closed => {}
    }
}
