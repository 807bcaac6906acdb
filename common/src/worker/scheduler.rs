//! Which task runs next, and what to ask the broker for: a pure state machine over the five
//! priorities of one process. `worker::dispatch` feeds it and carries out its orders.
//!
//! What it guarantees: a free slot goes to the highest priority that waits (a lower task does
//! not start while a request for a higher one is still unanswered); nothing is polled (an empty
//! priority has one standing request); and at most one task per priority is held without a
//! slot, for no longer than the dispatcher lets it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::broker::PullRequest;
use crate::model::Priority;

/// Tasks of a mean run time below this are short: one may be fetched ahead, since a slot will
/// be free before another process could have started it. Long ones are left to the others.
pub(super) const HOLD_MAX: Duration = Duration::from_millis(50);

/// How much the latest run time moves the mean.
const MEAN_WEIGHT: f64 = 0.1;

#[derive(Debug)]
pub(super) enum Order<T> {
    Run(T),
    Pull(Priority, PullRequest),
}

#[derive(Debug)]
pub(super) struct Scheduler<T> {
    slots: usize,
    busy: usize,
    mean_run: Duration,
    /// A held task has found no slot in time: nothing more is fetched ahead until one is free.
    is_congested: bool,
    lanes: [Lane<T>; 5],
}

#[derive(Debug)]
struct Lane<T> {
    held: VecDeque<T>,
    pull: Option<Pull>,
    waiting: Waiting,
}

/// What is known of the tasks of a priority that still are with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Unknown,
    None,
    Some(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pull {
    Standing,
    /// So many tasks are still due, or the word that there are no more.
    Immediate(usize),
}

impl<T> Scheduler<T> {
    pub(super) fn new(slots: usize) -> Self {
        let lane = |_| Lane {
            held: VecDeque::new(),
            pull: None,
            waiting: Waiting::Unknown,
        };
        Self {
            slots,
            busy: 0,
            mean_run: Duration::ZERO,
            is_congested: false,
            lanes: Priority::ALL.map(lane),
        }
    }

    /// A task has arrived; `behind` more wait at the broker.
    pub(super) fn arrived(&mut self, priority: Priority, task: T, behind: u64) {
        let lane = &mut self.lanes[priority.index()];
        lane.held.push_back(task);
        lane.waiting = if behind == 0 {
            Waiting::None
        } else {
            Waiting::Some(behind)
        };
        lane.pull = match lane.pull {
            Some(Pull::Immediate(due)) if due > 1 => Some(Pull::Immediate(due - 1)),
            _ => None,
        };
    }

    /// The request has ended, and nothing waits.
    pub(super) fn empty(&mut self, priority: Priority) {
        self.ended(priority, Waiting::None);
    }

    /// The request is lost, for a reason that says nothing about what waits.
    pub(super) fn lost(&mut self, priority: Priority) {
        self.ended(priority, Waiting::Unknown);
    }

    fn ended(&mut self, priority: Priority, waiting: Waiting) {
        let lane = &mut self.lanes[priority.index()];
        lane.pull = None;
        lane.waiting = waiting;
    }

    /// A task has left its slot after running for so long.
    pub(super) fn freed(&mut self, ran: Duration) {
        self.busy = self.busy.saturating_sub(1);
        self.is_congested = false;
        self.mean_run = self.mean_run.mul_f64(1.0 - MEAN_WEIGHT) + ran.mul_f64(MEAN_WEIGHT);
    }

    /// Gives up the held tasks that have no slot, for other processes to run.
    pub(super) fn give_back(&mut self) -> Vec<T> {
        let mut given = Vec::new();
        for lane in &mut self.lanes {
            if !lane.held.is_empty() {
                lane.waiting = Waiting::Unknown;
            }
            given.extend(lane.held.drain(..));
        }
        self.is_congested = !given.is_empty();
        given
    }

    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    pub(super) fn is_holding(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.held.is_empty())
    }

    /// The next thing to do; to be asked until it is `None`.
    pub(super) fn next(&mut self) -> Option<Order<T>> {
        let run = self.next_run().map(Order::Run);
        let next = run.or_else(|| self.next_pull());
        if next.is_none() {
            self.forget();
        }
        next
    }

    /// Where no request stands, what was known to be empty may not be any more.
    fn forget(&mut self) {
        for lane in &mut self.lanes {
            if lane.pull.is_none() && lane.waiting == Waiting::None {
                lane.waiting = Waiting::Unknown;
            }
        }
    }

    fn next_run(&mut self) -> Option<T> {
        let free = self.slots.saturating_sub(self.busy);
        // Slots that tasks of a higher priority, asked for and not yet here, have a claim on.
        let mut claimed = 0;
        for lane in &mut self.lanes {
            if free <= claimed {
                return None;
            }
            if let Some(task) = lane.held.pop_front() {
                self.busy += 1;
                return Some(task);
            }
            claimed = claimed.saturating_add(lane.promised());
        }
        None
    }

    fn next_pull(&mut self) -> Option<Order<T>> {
        let free = self.slots.saturating_sub(self.busy);
        let may_look_ahead = self.mean_run < HOLD_MAX && !self.is_congested;
        let mut claimed = 0;
        for (priority, lane) in Priority::ALL.into_iter().zip(&mut self.lanes) {
            let room = free.saturating_sub(claimed);
            if let Some(request) = lane.wanted(room, may_look_ahead) {
                lane.pull = Some(match request {
                    PullRequest::Standing => Pull::Standing,
                    PullRequest::Immediate(due) => Pull::Immediate(due),
                });
                return Some(Order::Pull(priority, request));
            }
            claimed += lane.claim();
            // A priority with more waiting than there is room for leaves none to the lower ones.
            if claimed >= free && lane.waiting != Waiting::None {
                return None;
            }
        }
        None
    }
}

impl<T> Lane<T> {
    fn due(&self) -> usize {
        match self.pull {
            Some(Pull::Immediate(due)) => due,
            Some(Pull::Standing) | None => 0,
        }
    }

    /// Tasks that will want a slot before any of a lower priority does, as far as is known:
    /// all of them, while an answer is due and more may wait behind it.
    fn promised(&self) -> usize {
        match (self.pull, self.waiting) {
            (Some(Pull::Standing), _) | (None, Waiting::None) => 0,
            (Some(Pull::Immediate(due)), Waiting::None) => due,
            (_, Waiting::Some(waiting)) => usize::try_from(waiting).unwrap_or(usize::MAX),
            (_, Waiting::Unknown) => usize::MAX,
        }
    }

    /// Slots that this priority will take: what it holds, and what it is due.
    fn claim(&self) -> usize {
        self.held.len() + self.due()
    }

    /// What to ask for, with room for so many tasks.
    fn wanted(&self, room: usize, may_look_ahead: bool) -> Option<PullRequest> {
        if self.pull.is_some() {
            return None;
        }
        let ahead = usize::from(may_look_ahead && self.held.is_empty());
        let batch = room.max(ahead);
        if batch == 0 {
            return None;
        }
        match self.waiting {
            Waiting::None => Some(PullRequest::Standing),
            Waiting::Unknown => Some(PullRequest::Immediate(batch)),
            Waiting::Some(waiting) => Some(PullRequest::Immediate(
                batch.min(usize::try_from(waiting).unwrap_or(usize::MAX)),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
