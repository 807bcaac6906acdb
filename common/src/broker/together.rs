//! Writes to one stream that are under way at the same moment share an acknowledgement: they go
//! out as a batch (ADR-50), which the server answers once all of it is stored. How it stores them is
//! chosen by what is sooner ([`way`]).
//!
//! A batch says what is stored, and nothing else. What it does not confirm is published again,
//! alone, by whoever wants it written, and is answered there (`publish`): so all that can go
//! wrong is told apart in one place. Hence only for writes that may be repeated. Who writes while
//! nobody else does, or a few, gains nothing from a batch, and publishes alone at once.

mod way;
mod writer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::Subject;
use async_nats::jetstream::message::PublishMessage;
use tokio::sync::{mpsc, oneshot};

use super::bodies::SMALL_BYTES_MAX;
use super::{Broker, BrokerError};
use crate::model::Category;
use writer::Writer;

/// Messages of a batch: as few as need no word of the server's in between.
const BATCH_MAX: usize = 256;
/// Messages that one writer hands over at once. There is room for so many in every batch.
pub(super) const PARCEL_MAX: usize = BATCH_MAX / 2;
/// Slots of a process that publish a record each, side by side: a batch of a handful costs the server more than
/// as many publishes, and makes them wait for each other (10 slots: 12 % more tasks a second, 22: no difference).
const RECORDS_ALONE_MAX: usize = 12;
/// Parcels that wait to be sent; whoever has more waits.
const WAITING_MAX: usize = 4 * BATCH_MAX;

/// Where messages go that may share an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shelf {
    Records,
    Tasks(Category),
}

impl Shelf {
    /// How many write there at once without a batch.
    const fn alone_max(self) -> usize {
        match self {
            Self::Records => RECORDS_ALONE_MAX,
            // Alone it has a message id, which the server remembers for a while.
            Self::Tasks(_) => 1,
        }
    }
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
    /// Whether the server stores a batch at once, as it waits for its disk: a publish alone would wait by itself.
    is_at_once: Arc<AtomicBool>,
}

/// Somebody who writes to a shelf, from before the first message until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    place: Arc<Place>,
    goes_alone: bool,
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
        let alone_max = match place.is_at_once.load(Ordering::Relaxed) {
            true => 1,
            false => shelf.alone_max(),
        };
        let goes_alone = place.writing.fetch_add(1, Ordering::Relaxed) < alone_max;
        Turn { place, goes_alone }
    }

    /// Publishes a message that has its place there together with what else goes there. Answers whether
    /// it is confirmed; where it is not, it is to be published alone.
    pub(super) async fn publish_one_together(
        &self,
        doing: impl Fn() -> String,
        turn: &Turn,
        message: (Subject, PublishMessage),
    ) -> Result<bool, BrokerError> {
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
            let is_at_once = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&is_at_once);
            tokio::spawn(async move {
                // Without a subscription there is no connection either, which others tell of.
                if let Ok(writer) = Writer::new(client, connections, waiting, told).await {
                    writer.run().await;
                }
            });
            Arc::new(Place {
                waiting: sender,
                writing: AtomicUsize::new(0),
                is_at_once,
            })
        });
        Arc::clone(place)
    }
}

impl Turn {
    /// Whether few enough write there now: then a plain publish is sooner.
    pub(super) fn goes_alone(&self) -> bool {
        self.goes_alone
    }

    /// Whether a message of so many bytes has its place among others: a batch has no bound of bytes.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        !self.goes_alone && bytes <= SMALL_BYTES_MAX
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.place.writing.fetch_sub(1, Ordering::Relaxed);
    }
}
