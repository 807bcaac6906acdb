//! Writes to one stream that are under way at the same moment share an acknowledgement: they go
//! out as a batch of the server's fast ingest (ADR-50), which answers once all of it is stored.
//! Each message is checked by itself, as if it came alone.
//!
//! A batch says what is stored, and nothing else. What it does not confirm is published again,
//! alone, by whoever wants it written, and is answered there (`publish`): so all that can go
//! wrong is told apart in one place. Hence only for writes that may be repeated.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

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
/// Messages that wait to be sent; whoever has more waits.
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
    writers: Mutex<HashMap<Shelf, mpsc::Sender<Item>>>,
}

/// A message with the place where its writer waits.
#[derive(Debug)]
struct Item {
    subject: Subject,
    message: PublishMessage,
    told: oneshot::Sender<Word>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Stored,
    /// Refused, or passed over after one that was.
    Unconfirmed,
    /// No answer came.
    Silence,
}

impl Broker {
    /// Publishes a small message together with what else goes there. Answers whether it is
    /// confirmed; where it is not, it is to be published alone.
    pub(super) async fn publish_together(
        &self,
        doing: impl Fn() -> String,
        shelf: Shelf,
        subject: String,
        bytes: usize,
        message: PublishMessage,
    ) -> Result<bool, BrokerError> {
        // So few of the others are small that a batch has no bound of bytes.
        if bytes > SMALL_BYTES_MAX {
            return Ok(false);
        }
        let (told, word) = oneshot::channel();
        let subject = Subject::from(subject);
        let item = Item {
            subject,
            message,
            told,
        };
        let silence = || BrokerError::Unavailable { doing: doing() };
        let sent = self.together.writer(self, shelf).send(item).await;
        sent.map_err(|_| silence())?;
        match word.await {
            Ok(Word::Stored) => Ok(true),
            Ok(Word::Unconfirmed) => Ok(false),
            Ok(Word::Silence) | Err(_) => Err(silence()),
        }
    }
}

impl Together {
    fn writer(&self, broker: &Broker, shelf: Shelf) -> mpsc::Sender<Item> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writers.entry(shelf).or_insert_with(|| {
            let (sender, waiting) = mpsc::channel(WAITING_MAX);
            let (client, connections) = (broker.client.clone(), broker.connections());
            tokio::spawn(async move {
                // Without a subscription there is no connection either, which others tell of.
                if let Ok(writer) = Writer::new(client, connections, waiting).await {
                    writer.run().await;
                }
            });
            sender
        });
        writer.clone()
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
    waiting: mpsc::Receiver<Item>,
    next: Vec<Item>,
    number: u64,
    /// The oldest first.
    under_way: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    number: u64,
    silent_at: Instant,
    /// In the order of the messages; without those that have had their word.
    told: Vec<Option<oneshot::Sender<Word>>>,
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
        waiting: mpsc::Receiver<Item>,
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
            next: Vec::new(),
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
                count = self.waiting.recv_many(&mut self.next, BATCH_MAX),
                    if self.under_way.len() < UNDER_WAY_MAX =>
                {
                    if count == 0 {
                        return;
                    }
                    self.send().await;
                }
            }
        }
    }

    async fn send(&mut self) {
        // Who does not wait any more may have begun anew elsewhere.
        self.next.retain(|item| !item.told.is_closed());
        let Some(last) = self.next.len().checked_sub(1) else {
            return;
        };
        self.number += 1;
        let mut told = Vec::with_capacity(self.next.len());
        for (index, item) in self.next.drain(..).enumerate() {
            let reply = reply(&self.inbox, &self.unique, self.number, index, index == last);
            let message = item.message.outbound_message(item.subject);
            let headers = message.headers.unwrap_or_default();
            let sent = self.client.publish_with_reply_and_headers(
                message.subject,
                reply,
                headers,
                message.payload,
            );
            // Fails once the connection has ended for good; then there is no answer either.
            if let Err(error) = sent.await {
                tracing::debug!(%error, "could not send a message of a batch");
            }
            told.push(Some(item.told));
        }
        self.under_way.push(Batch {
            number: self.number,
            silent_at: Instant::now() + ANSWER_TIMEOUT,
            told,
        });
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

    fn give_up(&mut self) {
        let lost = self.under_way.drain(..).flat_map(|batch| batch.told);
        for told in lost.flatten() {
            // Whoever waited may be gone.
            let _ = told.send(Word::Silence);
        }
        while let Ok(item) = self.waiting.try_recv() {
            let _ = item.told.send(Word::Silence);
        }
    }
}

impl Batch {
    /// Passes on what the server says; answers whether that was the last of it.
    fn hear(&mut self, index: usize, said: &Answer, is_unheard: bool) -> bool {
        if let Some(count) = said.count {
            for (index, told) in self.told.drain(..).enumerate() {
                let word = if index < count {
                    Word::Stored
                } else {
                    Word::Unconfirmed
                };
                let _ = told.map(|told| told.send(word));
            }
        } else if (said.error.is_some() || is_unheard)
            && let Some(told) = self.told.get_mut(index).and_then(Option::take)
        {
            let _ = told.send(Word::Unconfirmed);
        }
        self.told.iter().all(Option::is_none)
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
fn reply(inbox: &str, unique: &str, number: u64, index: usize, is_last: bool) -> String {
    // To begin, to add, to add the last one.
    let operation = match (is_last, index) {
        (true, _) => 2,
        (false, 0) => 0,
        (false, _) => 1,
    };
    // A gap ends the batch there, so that what is counted as stored has none.
    let sequence = index + 1;
    format!("{inbox}.{unique}-{number}.{BATCH_MAX}.fail.{sequence}.{operation}.$FI")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(messages: usize) -> (Batch, Vec<oneshot::Receiver<Word>>) {
        let (told, words): (Vec<_>, _) = (0..messages).map(|_| oneshot::channel()).unzip();
        let batch = Batch {
            number: 1,
            silent_at: Instant::now(),
            told: told.into_iter().map(Some).collect(),
        };
        (batch, words)
    }

    fn heard(words: &mut [oneshot::Receiver<Word>]) -> Vec<Option<Word>> {
        words.iter_mut().map(|word| word.try_recv().ok()).collect()
    }

    fn said(json: &str) -> Answer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_counted_is_stored_and_the_rest_is_not() {
        let (mut batch, mut words) = batch(3);
        assert!(!batch.hear(0, &said(r#"{"type":"ack","seq":0,"msgs":256}"#), false));
        let refused = r#"{"type":"err","seq":2,"error":{"code":400,"err_code":10071}}"#;
        assert!(!batch.hear(1, &said(refused), false));
        assert!(batch.hear(
            0,
            &said(r#"{"stream":"S","seq":9,"batch":"b","count":1}"#),
            false
        ));
        let rest = Some(Word::Unconfirmed);
        assert_eq!(heard(&mut words), [Some(Word::Stored), rest, rest]);
    }

    #[test]
    fn a_batch_that_the_server_does_not_take_ends_with_its_last_refusal() {
        let refused = r#"{"error":{"code":400,"err_code":10208},"stream":"S","seq":0}"#;
        let (mut batch, mut words) = batch(2);
        assert!(!batch.hear(0, &said(refused), false));
        assert!(batch.hear(1, &Answer::NONE, true));
        assert_eq!(heard(&mut words), [Some(Word::Unconfirmed); 2]);
    }

    #[test]
    fn a_reply_tells_the_server_where_in_a_batch_it_is() {
        let told = |index, is_last| reply("_INBOX.a", "a", 7, index, is_last);
        assert_eq!(told(0, false), "_INBOX.a.a-7.256.fail.1.0.$FI");
        assert_eq!(told(1, false), "_INBOX.a.a-7.256.fail.2.1.$FI");
        assert_eq!(told(2, true), "_INBOX.a.a-7.256.fail.3.2.$FI");
        assert_eq!(told(0, true), "_INBOX.a.a-7.256.fail.1.2.$FI");
    }
}
