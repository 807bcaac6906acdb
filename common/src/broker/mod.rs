//! JetStream as the fleet uses it, and the only code that names `async_nats`: subjects and
//! streams, submissions, deliveries, records, waiting for outcomes, events.

mod cancel;
mod client;
mod controls;
mod dead_letters;
mod delivery;
mod error;
mod events;
mod headers;
mod letters;
mod outcomes;
mod position;
mod publish;
mod pull;
mod quarantine;
mod queues;
mod records;
mod requests;
mod schedules;
mod snapshot;
mod streams;
mod subjects;
mod submit;
mod topology;
mod worker_calls;

pub use cancel::Cancelled;
pub use client::{Broker, Config, ConnectError, SERVER_VERSION_MIN};
pub use controls::{Change, Shared};
pub use delivery::{Delivery, InvalidDelivery, Settle};
pub use error::{BrokerError, Refusal};
pub use events::{EventLog, StoredEvent};
pub use headers::InvalidHeader;
pub use letters::{LetterFilter, LetterPage, Requeue, StoredLetter};
pub use outcomes::Outcomes;
pub use position::Position;
pub use pull::{LaneEvent, PullLane, PullRequest};
pub use queues::{Backlog, QueueDepth};
pub use records::{StoredRecord, WaitingTask, WriteError};
pub use requests::{Request, Requests};
pub use schedules::{Recurring, ScheduledTask, StoredSchedule};
pub use streams::StreamLimits;
pub use subjects::STATS_REQUEST;
pub use submit::Accepted;
pub use topology::Drift;
pub use worker_calls::{Asked, WorkerCall, WorkerCalls};
