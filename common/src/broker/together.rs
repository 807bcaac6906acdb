//! Writes to one stream that are under way at the same moment share an acknowledgement: they go
//! out as a batch of the server's fast ingest (ADR-50), which answers once all of it is stored.
//! Each message is checked by itself, as if it came alone.
//!
//! A batch says what is stored, and nothing else. What it does not confirm is published again,
//! alone, by whoever wants it written, and is answered there (`publish`): so all that can go
//! wrong is told apart in one place. Hence only for writes that may be repeated. Who writes while
//! nobody else does gains nothing from a batch, and publishes alone at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, Message, Subject, Subscriber};
use futures::StreamExt;
use futures::future::OptionFuture;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::bodies::SMALL_BYTES_MAX;
use super::client::ANSWER_TIMEOUT;
use super::{Broker, BrokerError};
use crate::model::Category;

/// Messages of a batch: as few as need no word of the server's in between.
const BATCH_MAX: usize = 256;
/// One batch is stored while the next one is on its way; what comes meanwhile makes the third.
const UNDER_WAY_MAX: usize = 2;
/// Messages that one writer hands over at once. There is room for so many in every batch.
pub(super) const PARCEL_MAX: usize = BATCH_MAX / 2;
/// Parcels that wait to be sent; whoever has more waits.
const WAITING_MAX: usize = 4 * BATCH_MAX;

/// Where messages go that may share an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shelf {
    Records,
    Tasks(Category),
}

/// The writers of a connection, each begun with its first message.
#[derive(Debug, Default)]
pub(super) struct Together {
    shelves: Mutex<HashMap<Shelf, Arc<Place>>>,
}

/// Where one shelf's writer is found.
#[derive(Debug)]
struct Place {
    waiting: mpsc::Sender<Parcel>,
    /// Those who write there now, together or alone.
    writing: AtomicUsize,
}

/// Somebody who writes to a shelf, from before the first message until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    place: Arc<Place>,
    is_alone: bool,
}

/// Messages that somebody writes at once, with the place where he waits.
#[derive(Debug)]
struct Parcel {
    messages: Vec<(Subject, PublishMessage)>,
    told: oneshot::Sender<usize>,
}

impl Broker {
    /// To be had before something is written, and kept until it is.
    pub(super) fn turn(&self, shelf: Shelf) -> Turn {
        let place = self.together.place(self, shelf);
        let is_alone = place.writing.fetch_add(1, Ordering::Relaxed) == 0;
        Turn { place, is_alone }
    }

    /// Publishes a message of so many bytes together with what else goes there. Answers whether it is
    /// confirmed; where it is not, it is to be published alone.
    pub(super) async fn publish_one_together(
        &self,
        doing: impl Fn() -> String,
        turn: &Turn,
        bytes: usize,
        message: (Subject, PublishMessage),
    ) -> Result<bool, BrokerError> {
        // So few of the others are small that a batch has no bound of bytes.
        if bytes > SMALL_BYTES_MAX {
            return Ok(false);
        }
        let stored = self.publish_together(doing, turn, vec![message]);
        Ok(stored.await? == 1)
    }

    /// Publishes small messages together with what else goes there. Answers how many are
    /// confirmed, from the first one on; the others are to be published alone. Without an answer
    /// nothing is known of any.
    pub(super) async fn publish_together(
        &self,
        doing: impl Fn() -> String,
        turn: &Turn,
        messages: Vec<(Subject, PublishMessage)>,
    ) -> Result<usize, BrokerError> {
        let silence = || BrokerError::Unavailable { doing: doing() };
        let (told, word) = oneshot::channel();
        let sent = turn.place.waiting.send(Parcel { messages, told }).await;
        sent.map_err(|_| silence())?;
        word.await.map_err(|_| silence())
    }
}

impl Together {
    fn place(&self, broker: &Broker, shelf: Shelf) -> Arc<Place> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let place = shelves.entry(shelf).or_insert_with(|| {
            let (sender, waiting) = mpsc::channel(WAITING_MAX);
            let (client, connections) = (broker.client.clone(), broker.connections());
            tokio::spawn(async move {
                // Without a subscription there is no connection either, which others tell of.
                if let Ok(writer) = Writer::new(client, connections, waiting).await {
                    writer.run().await;
                }
            });
            Arc::new(Place {
                waiting: sender,
                writing: AtomicUsize::new(0),
            })
        });
        Arc::clone(place)
    }
}

impl Turn {
    /// Whether nobody else writes there now: then a plain publish is sooner.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.place.writing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends what waits for one stream, for as long as anybody may have more.
struct Writer {
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
}

#[derive(Debug)]
struct Batch {
    number: u64,
    silent_at: Instant,
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
    async fn new(
        client: Client,
        mut connections: watch::Receiver<u64>,
        waiting: mpsc::Receiver<Parcel>,
    ) -> Result<Self, async_nats::SubscribeError> {
        connections.mark_unchanged();
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
        })
    }

    async fn run(mut self) {
        loop {
            let silent_at = self.under_way.first().map(|batch| batch.silent_at);
            let silence = OptionFuture::from(silent_at.map(sleep_until));
            tokio::select! {
                biased;
                Some(answer) = self.answers.next() => self.hear(&answer),
                // Answers that were due are lost with a connection.
                Ok(()) = self.connections.changed() => self.give_up(),
                Some(()) = silence => self.give_up(),
                parcel = self.waiting.recv(), if self.under_way.len() < UNDER_WAY_MAX => {
                    let Some(parcel) = parcel else { return };
                    let parcels = self.with_what_waits(parcel);
                    self.send(parcels).await;
                }
            }
        }
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
                self.send_one(sequence, sequence == messages, subject, message)
                    .await;
            }
        }
        self.under_way.push(Batch {
            number: self.number,
            silent_at: Instant::now() + ANSWER_TIMEOUT,
            writers,
        });
    }

    async fn send_one(
        &self,
        sequence: usize,
        is_last: bool,
        subject: Subject,
        message: PublishMessage,
    ) {
        let reply = reply(&self.inbox, &self.unique, self.number, sequence, is_last);
        let message = message.outbound_message(subject);
        let headers = message.headers.unwrap_or_default();
        let (client, payload) = (&self.client, message.payload);
        let sent = client.publish_with_reply_and_headers(message.subject, reply, headers, payload);
        // Fails once the connection has ended for good; then there is no answer either.
        if let Err(error) = sent.await {
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
            self.under_way.remove(position);
        }
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

    /// Whoever waits hears nothing, which tells him that.
    fn give_up(&mut self) {
        self.under_way.clear();
        while self.waiting.try_recv().is_ok() {}
    }
}

impl Batch {
    /// Passes on what the server says; answers whether that was the last of it.
    fn hear(&mut self, index: usize, said: &Answer, is_unheard: bool) -> bool {
        if let Some(count) = said.count {
            let mut before = 0;
            for writer in &mut self.writers {
                writer.hear(count.saturating_sub(before));
                before += writer.messages;
            }
        } else if said.error.is_some() || is_unheard {
            self.refuse(index);
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

/// Where the server is to answer, which also tells it what it has before it:
/// `<inbox>.<batch>.<messages between two words>.<what a gap means>.<message>.<operation>.$FI`.
fn reply(inbox: &str, unique: &str, number: u64, sequence: usize, is_last: bool) -> String {
    // To begin, to add, to add the last one.
    let operation = match (is_last, sequence) {
        (true, _) => 2,
        (false, 1) => 0,
        (false, _) => 1,
    };
    // A gap ends the batch there, so that what is counted as stored has none.
    format!("{inbox}.{unique}-{number}.{BATCH_MAX}.fail.{sequence}.{operation}.$FI")
}

#[cfg(test)]
mod tests;
