//! What the scheduler knows of one priority.

use std::collections::VecDeque;

use crate::broker::PullRequest;

/// So many tasks a request that stands may bring at most. Each that is made is work for a broker that has little
/// else to do then; but it cannot be withdrawn, should tasks turn out to be long.
pub(super) const STANDING_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Lane<T> {
    pub(super) held: VecDeque<T>,
    pub(super) pull: Option<Pull>,
    pub(super) waiting: Waiting,
    pub(super) is_paused: bool,
    /// Whether its tasks may take the reserved slots.
    pub(super) is_urgent: bool,
    /// Starts of higher priorities since this one had its last turn, or had nothing waiting.
    pub(super) overtaken: u32,
    /// A held task has found no slot in time: nothing more is fetched ahead until one is free.
    pub(super) is_congested: bool,
}

/// What is known of the tasks of a priority that still are with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Unknown,
    None,
    Some(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pull {
    /// So many tasks it may still bring.
    Standing(usize),
    /// So many tasks are still due, or the word that there are no more.
    Immediate(usize),
}

impl<T> Lane<T> {
    pub(super) fn may_wait(&self) -> bool {
        !self.is_paused && (self.waiting != Waiting::None || !self.held.is_empty())
    }

    fn due(&self) -> usize {
        match self.pull {
            Some(Pull::Immediate(due)) => due,
            Some(Pull::Standing(_)) | None => 0,
        }
    }

    /// Tasks that will want a slot before any of a lower priority does, as far as is known:
    /// all of them, while an answer is due and more may wait behind it. A request that stands promises
    /// nothing: what it has not brought yet may go to another process, and it would not say so.
    pub(super) fn promised(&self) -> usize {
        match (self.pull, self.waiting) {
            (Some(Pull::Standing(_)), _) | (None, Waiting::None) => 0,
            (Some(Pull::Immediate(due)), Waiting::None) => due,
            (_, Waiting::Some(waiting)) => usize::try_from(waiting).unwrap_or(usize::MAX),
            (_, Waiting::Unknown) => usize::MAX,
        }
    }

    /// Slots that this priority will take: what it holds, and what it is due.
    pub(super) fn claim(&self) -> usize {
        self.held.len() + self.due()
    }

    /// What to ask for, with room for so many tasks, and so many that may be held beside them; never
    /// more than there are slots.
    pub(super) fn wanted(&self, room: usize, ahead: usize, slots: usize) -> Option<PullRequest> {
        let held = self.held.len();
        let ahead = if self.is_congested { 0 } else { ahead };
        let wanted = room.saturating_add(ahead).min(slots);
        if self.pull.is_some() || held >= wanted {
            return None;
        }
        let batch = wanted - held;
        let batch = match self.waiting {
            // As many as could be held, if the slots were all taken by the time that they come.
            Waiting::None => {
                let batch = batch.min(ahead).clamp(1, STANDING_MAX);
                return Some(PullRequest::Standing(batch));
            }
            Waiting::Unknown => batch,
            Waiting::Some(waiting) => batch.min(usize::try_from(waiting).unwrap_or(usize::MAX)),
        };
        // A request for each task would cost more than a short task does.
        let is_worth_it = held <= wanted / 2;
        is_worth_it.then_some(PullRequest::Immediate(batch))
    }
}
