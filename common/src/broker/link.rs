//! What a connection has to tell about itself, as metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::Client;
use async_nats::connection::State;

use super::{Broker, BrokerError, Refusal};
use crate::metrics::{BROKER_CONNECTIONS, PUBLISHES_REFUSED, Registry, Samples, Source};

/// What the reasons are called; one for each kind of refusal that is no conflict.
const REASONS: [&str; 7] = [
    "stream_full",
    "storage_full",
    "objects_full",
    "too_large",
    "jetstream_disabled",
    "no_stream",
    "other",
];

#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    refused: Arc<Refused>,
}

#[derive(Debug, Default)]
struct Refused([AtomicU64; REASONS.len()]);

impl Broker {
    /// Shows the connection among the metrics, for as long as there is a handle to it; and what was
    /// refused.
    pub fn show(&self, registry: &Registry) {
        registry.keep(&self.link.refused);
        registry.add(&self.link);
    }
}

impl Link {
    pub(super) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            client,
            refused: Arc::default(),
        })
    }

    pub(super) fn count(&self, error: &BrokerError) {
        let reason = match error.refusal() {
            Some(Refusal::StreamFull(_)) => 0,
            Some(Refusal::StorageFull(_)) => 1,
            Some(Refusal::ObjectsFull(_)) => 2,
            Some(Refusal::TooLarge(_)) => 3,
            Some(Refusal::JetStreamDisabled) => 4,
            Some(Refusal::NoStream) => 5,
            Some(Refusal::NotNow(_) | Refusal::Other(_)) => 6,
            // Whoever comes second is told so on purpose, schedules are counted by ourselves; and what has no
            // answer is no refusal.
            Some(Refusal::Conflict | Refusal::SchedulesFull { .. }) | None => return,
        };
        self.refused.0[reason].fetch_add(1, Ordering::Relaxed);
    }
}

impl Source for Link {
    fn collect(&self, samples: &mut Samples) {
        let is_connected = self.client.connection_state() == State::Connected;
        for (state, is_it) in [("connected", is_connected), ("disconnected", !is_connected)] {
            samples.count(&BROKER_CONNECTIONS, &[state], u64::from(is_it));
        }
    }
}

impl Source for Refused {
    fn collect(&self, samples: &mut Samples) {
        for (reason, count) in REASONS.iter().zip(&self.0) {
            samples.count(&PUBLISHES_REFUSED, &[reason], count.load(Ordering::Relaxed));
        }
    }
}
