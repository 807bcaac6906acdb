//! Large bodies and answers take turns: read, parsed and written, one takes several times its size, so that few of
//! them are in memory at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;
use crate::refusal::unavailable;

/// So many of them are held at once.
const AT_ONCE: usize = 8;
/// As long as a body is waited for that does not come.
const WAIT_MAX: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

/// Held for as long as something large is; or none, for what is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn(Option<Arc<OwnedSemaphorePermit>>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// The next turn for what is large, and none for what is not.
    pub(crate) async fn next_if(&self, is_large: bool) -> Result<Turn, Problem> {
        match is_large {
            true => self.next().await,
            false => Ok(Turn::default()),
        }
    }

    /// Nobody may wait here who has a turn: all who have one could do so, for each other.
    pub(crate) async fn next(&self) -> Result<Turn, Problem> {
        self.next_within(WAIT_MAX).await
    }

    async fn next_within(&self, time: Duration) -> Result<Turn, Problem> {
        let permit = Arc::clone(&self.0).acquire_owned();
        match tokio::time::timeout(time, permit).await {
            // Nobody closes the semaphore.
            Ok(permit) => Ok(Turn(permit.ok().map(Arc::new))),
            Err(_) => Err(unavailable(
                "as many large bodies and answers are on their way as this gateway has room for",
            )),
        }
    }
}

impl Turn {
    /// The same turn, or one where this is none: for something large beside what it was taken for.
    pub(crate) async fn or_next(&self, turns: &Turns) -> Result<Self, Problem> {
        match &self.0 {
            Some(_) => Ok(self.clone()),
            None => turns.next().await,
        }
    }

    /// The bytes, which hold the turn for as long as any part of them is kept anywhere.
    pub(crate) fn held_by(&self, bytes: Bytes) -> Bytes {
        match &self.0 {
            Some(_) => Bytes::from_owner(Held {
                bytes,
                _turn: self.clone(),
            }),
            None => bytes,
        }
    }
}

struct Held {
    bytes: Bytes,
    _turn: Turn,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
impl Turns {
    pub(crate) fn left(&self) -> usize {
        self.0.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::problem::Kind;

    #[tokio::test]
    async fn bytes_hold_the_turn_that_they_were_taken_in() {
        let turns = Turns::new();
        let turn = turns.next().await.unwrap();
        let whole = turn.held_by(Bytes::from_static(b"large"));
        let part = whole.slice(1..3);
        drop((turn, whole));
        assert_eq!((&part[..], turns.left()), (&b"ar"[..], AT_ONCE - 1));
        drop(part);
        assert_eq!(turns.left(), AT_ONCE);
        let small = Turn::default().held_by(Bytes::from_static(b"small"));
        assert_eq!((&small[..], turns.left()), (&b"small"[..], AT_ONCE));
    }

    #[tokio::test]
    async fn who_has_a_turn_does_not_wait_for_another() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        while let Some(turn) = turns.next().now_or_never() {
            taken.push(turn.unwrap());
        }
        assert_eq!((taken.len(), turns.left()), (AT_ONCE, 0));
        assert!(taken[0].or_next(&turns).now_or_never().is_some());
        assert!(Turn::default().or_next(&turns).now_or_never().is_none());
        let refused = turns.next_within(Duration::from_millis(1)).await;
        let problem = refused.unwrap_err();
        assert_eq!(problem.kind(), Kind::Unavailable);
        assert!(problem.retry_after_seconds().is_some());
    }
}
