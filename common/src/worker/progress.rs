//! What a handler says while it runs: how far it is, and what its next attempt has to know.
//! Said as often as it likes; the attempt writes it down now and then.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use crate::model::Progress;

/// A record holds a checkpoint beside the history; larger state belongs elsewhere.
pub const CHECKPOINT_BYTES_MAX: usize = 64 * 1_024;
/// Longer messages are cut.
const MESSAGE_CHARS_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the checkpoint has {0} bytes as JSON, more than {CHECKPOINT_BYTES_MAX}: store the work itself elsewhere, and here where it is"
)]
pub struct CheckpointTooLarge(usize);

/// What was said since it was last written down.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) progress: Option<Progress>,
    pub(super) checkpoint: Option<Value>,
}

#[derive(Debug, Default)]
struct Board {
    told: Mutex<Option<Told>>,
    is_news: Notify,
}

/// The handler's side.
#[derive(Debug, Clone)]
pub(super) struct Teller(Arc<Board>);

/// The attempt's side.
#[derive(Debug)]
pub(super) struct Listener(Arc<Board>);

pub(super) fn channel() -> (Teller, Listener) {
    let board = Arc::new(Board::default());
    (Teller(Arc::clone(&board)), Listener(board))
}

impl Board {
    fn with<R>(&self, change: impl FnOnce(&mut Option<Told>) -> R) -> R {
        // What is told is whole between two calls, whoever panicked.
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Teller {
    pub(super) fn progress(&self, percent: f64, message: &str) {
        let progress = Progress {
            percent: if percent.is_finite() {
                percent.clamp(0.0, 100.0)
            } else {
                0.0
            },
            message: message.chars().take(MESSAGE_CHARS_MAX).collect(),
            at: Timestamp::now(),
        };
        self.tell(|told| told.progress = Some(progress));
    }

    pub(super) fn checkpoint(&self, state: Value) -> Result<(), CheckpointTooLarge> {
        let bytes = state.to_string().len();
        if bytes > CHECKPOINT_BYTES_MAX {
            return Err(CheckpointTooLarge(bytes));
        }
        self.tell(|told| told.checkpoint = Some(state));
        Ok(())
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        self.0.with(|told| change(told.get_or_insert_default()));
        self.0.is_news.notify_one();
    }
}

impl Listener {
    /// Until there is something to take.
    pub(super) async fn heard(&self) {
        while self.0.with(|told| told.is_none()) {
            self.0.is_news.notified().await;
        }
    }

    /// What there is to write down, if anything.
    pub(super) fn take(&self) -> Option<Told> {
        self.0.with(Option::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_word_counts() {
        let (teller, listener) = channel();
        assert!(listener.take().is_none());
        teller.progress(10.0, "one");
        teller.checkpoint(Value::from(1)).unwrap();
        teller.progress(250.0, &"x".repeat(500));
        let told = listener.take().unwrap();
        let progress = told.progress.unwrap();
        assert_eq!(
            (progress.percent, progress.message.len()),
            (100.0, MESSAGE_CHARS_MAX)
        );
        assert_eq!(told.checkpoint, Some(Value::from(1)));
        assert!(listener.take().is_none(), "it was taken");
    }

    #[test]
    fn a_checkpoint_is_bounded() {
        let (teller, _listener) = channel();
        let large = Value::from("x".repeat(CHECKPOINT_BYTES_MAX));
        assert!(teller.checkpoint(large).is_err());
    }
}
