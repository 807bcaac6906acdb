//! Whether a worker hears the broker: one that is connected and receives nothing while tasks
//! wait must not look healthy. Pure; `dispatch` looks for it, and acts.

use std::time::Duration;

use tokio::time::Instant;

/// What a look at the queue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// All is well, or it is too early to tell.
    Fine,
    /// Twice in a row tasks waited that this worker had room for, and none came: its requests
    /// are to be made anew.
    Deaf,
}

#[derive(Debug)]
pub(super) struct Hearing {
    patience: Duration,
    next_look: Instant,
    /// Tasks waited at the last look, with room for them here, and none has come since.
    is_suspicious: bool,
    /// Found deaf, and no task has come since.
    is_deaf: bool,
    /// A request has gone unanswered, and nothing was heard since.
    is_silent: bool,
}

impl Hearing {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            next_look: Instant::now() + patience,
            is_suspicious: false,
            is_deaf: false,
            is_silent: false,
        }
    }

    pub(super) fn is_fine(&self) -> bool {
        !self.is_deaf && !self.is_silent
    }

    /// When the queue is to be looked at, unless a task comes before.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    pub(super) fn heard_task(&mut self) {
        *self = Self::new(self.patience);
    }

    /// The broker has answered, though with no task.
    pub(super) fn heard_answer(&mut self) {
        self.is_silent = false;
    }

    pub(super) fn silence(&mut self) {
        self.is_silent = true;
    }

    /// What the look says: whether tasks wait that would start here at once.
    pub(super) fn looked(&mut self, do_tasks_wait: bool) -> Finding {
        self.next_look = Instant::now() + self.patience;
        let was_suspicious = std::mem::replace(&mut self.is_suspicious, do_tasks_wait);
        if !do_tasks_wait {
            self.is_deaf = false;
            return Finding::Fine;
        }
        if !was_suspicious {
            return Finding::Fine;
        }
        self.is_deaf = true;
        Finding::Deaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn deaf_is_who_hears_nothing_twice() {
        let mut hearing = Hearing::new(Duration::from_secs(1));
        assert_eq!(hearing.looked(true), Finding::Fine);
        assert_eq!(hearing.looked(true), Finding::Deaf);
        assert!(!hearing.is_fine());
        hearing.heard_answer();
        assert!(
            !hearing.is_fine(),
            "an answer without a task proves nothing"
        );
        assert_eq!(hearing.looked(true), Finding::Deaf);
        hearing.heard_task();
        assert!(hearing.is_fine());
        assert_eq!(hearing.looked(true), Finding::Fine);
    }

    #[tokio::test]
    async fn nothing_to_hear_is_fine() {
        let mut hearing = Hearing::new(Duration::from_secs(1));
        for _ in 0..2 {
            hearing.looked(true);
        }
        assert_eq!(hearing.looked(false), Finding::Fine);
        assert!(hearing.is_fine());
        hearing.silence();
        assert!(!hearing.is_fine());
        hearing.heard_answer();
        assert!(hearing.is_fine());
    }
}
