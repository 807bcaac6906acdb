//! Sends what waits for one stream, and tells those who wait what is stored of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::jetstream::message::OutboundMessage;
use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use futures::future::OptionFuture;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::way::{Stored, Way, Ways};
use super::{BATCH_MAX, PARCEL_MAX, Parcel};
use crate::broker::client::ANSWER_TIMEOUT;

/// The headers of a batch that is stored at once.
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// Sends what waits for one stream, for as long as anybody may have more.
pub(super) struct Writer {
    client: Client,
    connections: watch::Receiver<u64>,
    /// Where the answers come, followed by the batch and the message that they answer.
    inbox: String,
    /// How the ids of our batches begin: the server tells those of all its clients apart by them.
    unique: String,
    answers: Subscriber,
    waiting: mpsc::Receiver<Parcel>,
    number: u64,
    /// The oldest first.
    under_way: Vec<Batch>,
    ways: Ways,
    /// Tells whether batches are stored at once.
    is_at_once: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Batch {
    number: u64,
    way: Way,
    sent_at: Instant,
    /// In the order of the messages.
    writers: Vec<Writing>,
}

/// Who waits for a part of a batch.
#[derive(Debug)]
struct Writing {
    messages: usize,
    /// Messages of it that the server has refused one by one.
    refused: usize,
    /// None once it has been used.
    told: Option<oneshot::Sender<usize>>,
}

/// What the server says of a batch, or of a message of it.
#[derive(Debug, Deserialize)]
struct Answer {
    error: Option<IgnoredAny>,
    /// So many are stored, from the first one on, and the batch is over.
    count: Option<usize>,
}

impl Writer {
    pub(super) async fn new(
        client: Client,
        connections: watch::Receiver<u64>,
        waiting: mpsc::Receiver<Parcel>,
        is_at_once: Arc<AtomicBool>,
    ) -> Result<Self, async_nats::SubscribeError> {
        let inbox = client.new_inbox();
        let unique = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let answers = client.subscribe(format!("{inbox}.>")).await?;
        Ok(Self {
            client,
            connections,
            inbox,
            unique,
            answers,
            waiting,
            number: 0,
            under_way: Vec::new(),
            ways: Ways::new(Instant::now()),
            is_at_once,
        })
    }

    pub(super) async fn run(mut self) {
        loop {
            let silent_at = self
                .under_way
                .first()
                .map(|batch| batch.sent_at + ANSWER_TIMEOUT);
            let silence = OptionFuture::from(silent_at.map(sleep_until));
            tokio::select! {
                biased;
                Some(answer) = self.answers.next() => self.hear(&answer),
                // Answers that were due are lost with a connection.
                Ok(()) = self.connections.changed() => self.give_up(),
                Some(()) = silence => self.give_up(),
                parcel = self.waiting.recv(), if self.has_room() => {
                    let Some(parcel) = parcel else { return };
                    let parcels = self.with_what_waits(parcel);
                    self.send(parcels).await;
                }
            }
        }
    }

    /// Whether a next batch may be sent. What goes another way does not overtake.
    fn has_room(&self) -> bool {
        let way = self.ways.way();
        let goes_on = self.under_way.iter().all(|batch| batch.way == way);
        goes_on && self.under_way.len() < under_way_max(way)
    }

    /// As much as has its place in one batch.
    fn with_what_waits(&mut self, first: Parcel) -> Vec<Parcel> {
        let mut messages = first.messages.len();
        let mut parcels = vec![first];
        while messages + PARCEL_MAX <= BATCH_MAX
            && let Ok(parcel) = self.waiting.try_recv()
        {
            messages += parcel.messages.len();
            parcels.push(parcel);
        }
        // Who does not wait any more may have begun anew elsewhere.
        parcels.retain(|parcel| !parcel.told.is_closed());
        parcels
    }

    async fn send(&mut self, parcels: Vec<Parcel>) {
        let messages: usize = parcels.iter().map(|parcel| parcel.messages.len()).sum();
        if messages == 0 {
            return;
        }
        self.number += 1;
        let sent_at = Instant::now();
        let way = self.ways.send(sent_at, messages);
        let inbox = inbox_of(&self.inbox, &self.unique, self.number);
        let mut writers = Vec::with_capacity(parcels.len());
        let mut sequence = 0;
        for parcel in parcels {
            writers.push(Writing {
                messages: parcel.messages.len(),
                refused: 0,
                told: Some(parcel.told),
            });
            for (subject, message) in parcel.messages {
                sequence += 1;
                let is_last = sequence == messages;
                let message = message.outbound_message(subject);
                match way {
                    Way::OneByOne => self.send_one(&inbox, sequence, is_last, message).await,
                    Way::AtOnce => self.send_part(&inbox, sequence, is_last, message).await,
                }
            }
        }
        self.under_way.push(Batch {
            number: self.number,
            way,
            sent_at,
            writers,
        });
    }

    async fn send_one(
        &self,
        inbox: &str,
        sequence: usize,
        is_last: bool,
        message: OutboundMessage,
    ) {
        let operation = operation(sequence, is_last);
        let reply = [inbox, &sequence.to_string(), operation].concat();
        self.publish(message, Some(reply)).await;
    }

    /// Only the last is answered, and with it all of them.
    async fn send_part(
        &self,
        inbox: &str,
        sequence: usize,
        is_last: bool,
        mut message: OutboundMessage,
    ) {
        let headers = message.headers.get_or_insert_default();
        headers.insert(BATCH_ID, format!("{}-{}", self.unique, self.number));
        headers.insert(BATCH_SEQUENCE, sequence.to_string());
        if is_last {
            headers.insert(BATCH_COMMIT, "1");
        }
        let reply = is_last.then(|| [inbox, &sequence.to_string()].concat());
        self.publish(message, reply).await;
    }

    async fn publish(&self, message: OutboundMessage, reply: Option<String>) {
        let OutboundMessage {
            subject,
            payload,
            headers,
        } = message;
        let (client, headers) = (&self.client, headers.unwrap_or_default());
        let sent = match reply {
            Some(reply) => {
                let sent = client.publish_with_reply_and_headers(subject, reply, headers, payload);
                sent.await
            }
            None => client.publish_with_headers(subject, headers, payload).await,
        };
        // Fails once the connection has ended for good; then there is no answer either.
        if let Err(error) = sent {
            tracing::debug!(%error, "could not send a message of a batch");
        }
    }

    fn hear(&mut self, answer: &Message) {
        let Some((number, index)) = self.addressed(&answer.subject) else {
            return;
        };
        // What comes for a batch that is over is the refusal of what it has passed over.
        let is_it = |batch: &Batch| batch.number == number;
        let Some(position) = self.under_way.iter().position(is_it) else {
            return;
        };
        let batch = &mut self.under_way[position];
        let said = serde_json::from_slice(&answer.payload).unwrap_or(Answer::NONE);
        if batch.hear(index, &said, answer.status.is_some()) {
            let batch = self.under_way.remove(position);
            self.learn(&batch, &said);
            self.tell_way();
        }
    }

    /// What a batch that is over tells of the way it went.
    fn learn(&mut self, batch: &Batch, said: &Answer) {
        let messages = said.count.unwrap_or(0);
        if batch.way == Way::AtOnce && messages < batch.messages() {
            self.ways.refused();
            return;
        }
        let stored = Stored {
            way: batch.way,
            sent_at: batch.sent_at,
            messages,
            is_last: self.under_way.is_empty(),
        };
        self.ways.stored(Instant::now(), stored);
    }

    fn tell_way(&self) {
        let is_at_once = self.ways.way() == Way::AtOnce;
        self.is_at_once.store(is_at_once, Ordering::Relaxed);
    }

    /// Which batch an answer is for, and which message of it.
    fn addressed(&self, subject: &str) -> Option<(u64, usize)> {
        let rest = subject.strip_prefix(&*self.inbox)?.strip_prefix('.')?;
        let mut tokens = rest.split('.');
        let number = tokens.next()?.strip_prefix(&*self.unique)?;
        let sequence: usize = tokens.nth(2)?.parse().ok()?;
        let number = number.strip_prefix('-')?.parse().ok()?;
        Some((number, sequence.checked_sub(1)?))
    }

    /// Whoever waits hears nothing, which tells him that. The server may be another one now.
    fn give_up(&mut self) {
        self.ways = Ways::new(Instant::now());
        self.tell_way();
        self.under_way.clear();
        while self.waiting.try_recv().is_ok() {}
    }
}

impl Batch {
    fn messages(&self) -> usize {
        self.writers.iter().map(|writer| writer.messages).sum()
    }

    /// Passes on what the server says; answers whether that was the last of it.
    fn hear(&mut self, index: usize, said: &Answer, is_unheard: bool) -> bool {
        if let Some(count) = said.count {
            let mut before = 0;
            for writer in &mut self.writers {
                writer.hear(count.saturating_sub(before));
                before += writer.messages;
            }
        } else if said.error.is_some() || is_unheard {
            match self.way {
                Way::OneByOne => self.refuse(index),
                Way::AtOnce => self.writers.iter_mut().for_each(|writer| writer.hear(0)),
            }
        }
        self.writers.iter().all(|writer| writer.told.is_none())
    }

    fn refuse(&mut self, index: usize) {
        let mut end = 0;
        let writer = self.writers.iter_mut().find(|writer| {
            end += writer.messages;
            index < end
        });
        if let Some(writer) = writer {
            writer.refused += 1;
            if writer.refused == writer.messages {
                writer.hear(0);
            }
        }
    }
}

impl Writing {
    fn hear(&mut self, stored: usize) {
        if let Some(told) = self.told.take() {
            // Whoever waited may be gone.
            let _ = told.send(stored.min(self.messages));
        }
    }
}

impl Answer {
    /// As good as nothing said: the server's word on how often it will give one.
    const NONE: Self = Self {
        error: None,
        count: None,
    };
}

const fn under_way_max(way: Way) -> usize {
    match way {
        // One is stored while the next one is on its way; what comes meanwhile makes the third.
        Way::OneByOne => 2,
        // Once for as many as come meanwhile.
        Way::AtOnce => 1,
    }
}

/// Where the server is to answer, which tells its fast ingest as well what it has before it:
/// `<inbox>.<batch>.<messages between two words>.<what a gap means>.<message>`.
fn inbox_of(inbox: &str, unique: &str, number: u64) -> String {
    // A gap ends the batch there, so that what is counted as stored has none.
    format!("{inbox}.{unique}-{number}.{BATCH_MAX}.fail.")
}

/// The end of a reply of the fast ingest: to begin, to add, or to add the last one.
fn operation(sequence: usize, is_last: bool) -> &'static str {
    match (is_last, sequence) {
        (true, _) => ".2.$FI",
        (false, 1) => ".0.$FI",
        (false, _) => ".1.$FI",
    }
}

#[cfg(test)]
mod tests;
