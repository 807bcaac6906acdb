//! The pull side of one priority: asks its consumer for tasks and tells what came of it.
//! What to ask for, and when, is the scheduler's decision (`worker::scheduler`).

use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{StatusCode, Subject, Subscriber};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::delivery::timestamp;
use super::subjects::{consumer, tasks_stream};
use super::{Broker, BrokerError, Delivery};
use crate::model::{Category, Priority};

/// A standing request lives this long at the server; then it is made anew.
const STANDING_EXPIRES: Duration = Duration::from_secs(30);
/// While a request stands, the server shows life this often.
const STANDING_HEARTBEAT: Duration = Duration::from_secs(5);
/// Without a word for this long, a request is taken for lost.
const STANDING_SILENCE_MAX: Duration = Duration::from_millis(11_000);
/// The answer to a request that does not wait is due within this time.
const IMMEDIATE_SILENCE_MAX: Duration = Duration::from_secs(5);
/// The clocks of this process and of the server are closer together.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(5);

/// What to ask a consumer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequest {
    /// The next so many tasks, whenever they come.
    Standing(usize),
    /// Up to so many tasks that are there now, or the word that there are none.
    Immediate(usize),
}

#[derive(Debug)]
pub enum LaneEvent {
    /// A task, and how many more wait behind it, if that is known.
    Task(Box<Delivery>, Option<u64>),
    /// The request has ended: nothing (more) waits.
    Empty,
    /// The request has ended, for a reason that says nothing about what waits.
    Lost(String),
    /// The connection has ended and never comes back: there will be no further event.
    Closed,
}

/// One consumer, with at most one request under way.
#[derive(Debug)]
pub struct PullLane {
    broker: Broker,
    consumer: PullConsumer,
    inbox: Subject,
    answers: Subscriber,
    under_way: Option<UnderWay>,
    /// What was accepted before may have been handed out by a consumer that has forgotten it: one made
    /// anew, or one whose server was killed before it was on the disk.
    remembers_since: Timestamp,
}

#[derive(Debug)]
struct UnderWay {
    /// Tasks that it may still bring.
    due: usize,
    is_standing: bool,
    silence_max: Duration,
    silent_at: Instant,
}

impl PullLane {
    pub async fn request(&mut self, request: PullRequest) -> Result<(), BrokerError> {
        let (config, is_standing, silence_max) = match request {
            PullRequest::Standing(batch) => (
                BatchConfig {
                    batch,
                    expires: Some(STANDING_EXPIRES),
                    idle_heartbeat: STANDING_HEARTBEAT,
                    ..BatchConfig::default()
                },
                true,
                STANDING_SILENCE_MAX,
            ),
            PullRequest::Immediate(batch) => (
                BatchConfig {
                    batch,
                    no_wait: true,
                    ..BatchConfig::default()
                },
                false,
                IMMEDIATE_SILENCE_MAX,
            ),
        };
        self.under_way = Some(UnderWay {
            due: config.batch,
            is_standing,
            silence_max,
            silent_at: Instant::now() + silence_max,
        });
        let sent = self
            .consumer
            .request_batch(config, self.inbox.clone())
            .await;
        sent.map_err(|error| BrokerError::other("asking for tasks", error))
    }

    /// Forgets the request under way: a new inbox, so that a late answer confuses nobody.
    /// A task that was on its way to the old one comes again when its lease ends.
    pub async fn reset(&mut self) -> Result<(), BrokerError> {
        self.has_lost_sight();
        (self.inbox, self.answers) = inbox(&self.broker).await?;
        self.under_way = None;
        Ok(())
    }

    /// Whatever has happened to the consumer meanwhile.
    fn has_lost_sight(&mut self) {
        self.remembers_since = Timestamp::now() + CLOCKS_DIFFER_MAX;
    }

    /// Asks for no more, and has the server send nothing more: what has come is still told, and then
    /// that there will be no further event.
    pub async fn close(&mut self) {
        if let Err(error) = self.answers.drain().await {
            tracing::debug!(%error, "the connection has ended: nothing comes any more");
        }
    }

    /// When the request under way counts as lost, if nothing is heard.
    pub fn silent_at(&self) -> Option<Instant> {
        self.under_way.as_ref().map(|request| request.silent_at)
    }

    /// Whether tasks, or the word that there are none, are due at any moment.
    pub fn is_due(&self) -> bool {
        let request = self.under_way.as_ref();
        request.is_some_and(|request| !request.is_standing)
    }

    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<LaneEvent> {
        loop {
            let Poll::Ready(answer) = self.answers.poll_next_unpin(cx) else {
                return Poll::Pending;
            };
            let event = match answer {
                Some(message) => self.read(message),
                None => Some(LaneEvent::Closed),
            };
            self.note(event.as_ref());
            if let Some(event) = event {
                return Poll::Ready(event);
            }
        }
    }

    /// A sign of life, and perhaps the end of the request.
    fn note(&mut self, event: Option<&LaneEvent>) {
        if let Some(LaneEvent::Lost(_)) = event {
            self.has_lost_sight();
        }
        let Some(request) = &mut self.under_way else {
            return;
        };
        request.silent_at = Instant::now() + request.silence_max;
        match event {
            None => {}
            Some(LaneEvent::Task(..)) if request.due > 1 => request.due -= 1,
            Some(_) => self.under_way = None,
        }
    }

    fn read(&self, message: async_nats::Message) -> Option<LaneEvent> {
        let Some(status) = message.status else {
            let context = self.broker.jetstream.clone();
            let message = async_nats::jetstream::Message { message, context };
            let (delivery, behind) = Delivery::of(message, self.remembers_since)?;
            return Some(LaneEvent::Task(Box::new(delivery), behind));
        };
        match status {
            StatusCode::IDLE_HEARTBEAT => None,
            StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Some(LaneEvent::Empty),
            _ => Some(LaneEvent::Lost(format!(
                "{status} {}",
                message.description.unwrap_or_default()
            ))),
        }
    }
}

impl Broker {
    pub async fn pull_lane(
        &self,
        category: Category,
        priority: Priority,
    ) -> Result<PullLane, BrokerError> {
        let stream = tasks_stream(category);
        let name = consumer(category, priority);
        let doing = || format!("looking up consumer {name} of stream {stream}");
        let consumer = self
            .jetstream
            .get_consumer_from_stream(&name, &stream)
            .await
            .map_err(|error| BrokerError::other(doing(), error))?;
        let (inbox, answers) = inbox(self).await?;
        Ok(PullLane {
            broker: self.clone(),
            remembers_since: timestamp(consumer.cached_info().created),
            consumer,
            inbox,
            answers,
            under_way: None,
        })
    }
}

async fn inbox(broker: &Broker) -> Result<(Subject, Subscriber), BrokerError> {
    let inbox = Subject::from(broker.client.new_inbox());
    let answers = broker.client.subscribe(inbox.clone()).await;
    let answers = answers.map_err(|error| BrokerError::other("subscribing to an inbox", error))?;
    Ok((inbox, answers))
}
