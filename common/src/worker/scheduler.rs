//! Which task runs next, and what to ask the broker for: a pure state machine over the five
//! priorities of one process. `worker::dispatch` feeds it and carries out its orders.
//!
//! What it guarantees: a free slot goes to the highest priority that waits and may take it (a
//! lower task does not start while a request for a higher one is still unanswered); nothing is
//! polled (an empty priority has one standing request); and a priority holds no more tasks than
//! there are slots, where those are short, and none where they are long (but what a request brings
//! that has stood since they were short), for no longer than the dispatcher lets it.
//!
//! Two rules bend the order. Reserved slots are for critical and high tasks only. And nobody
//! starves: when `overtakes_max` tasks of higher priorities have started since a priority had
//! its last turn, the next slot that it may take is kept for one of its tasks. With a broker
//! that answers at once, a priority with tasks waiting sees at most `overtakes_max` + slots + 3
//! such starts between two of its own, in each process: beside the maximum, those in slots that
//! are free as well, and the turns of the other priorities.

mod lane;
mod room;

use std::collections::VecDeque;
use std::time::Duration;

use self::lane::{Lane, Pull, Waiting};
use self::room::Room;
use crate::broker::PullRequest;
use crate::model::Priority;

/// Tasks of a mean run time below this are short, and may be fetched ahead, since a slot will
/// be free before another process could have started them. Long ones are left to the others.
pub(super) const HOLD_MAX: Duration = Duration::from_millis(50);
/// So many are fetched ahead as the slots work off in this time, if there are that many slots.
const LEAD: Duration = Duration::from_millis(10);

/// How much the latest run time moves the mean.
const MEAN_WEIGHT: f64 = 0.1;

#[derive(Debug)]
pub(super) enum Order<T> {
    Run(T),
    Pull(Priority, PullRequest),
}

/// How the slots of a process are given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) slots: usize,
    /// Slots that only critical and high tasks may take.
    pub(super) reserved: usize,
    /// After so many tasks of higher priorities it is a waiting task's turn; 0: it never is.
    pub(super) overtakes_max: u32,
}

#[derive(Debug)]
pub(super) struct Scheduler<T> {
    rules: Rules,
    /// Taken slots.
    busy: usize,
    /// Those of them that are taken by tasks which may not take reserved ones.
    busy_unreserved: usize,
    /// Taken slots, by priority.
    running: [usize; 5],
    mean_run: Duration,
    lanes: [Lane<T>; 5],
}

impl<T> Scheduler<T> {
    pub(super) fn new(rules: Rules) -> Self {
        let lane = |priority| Lane {
            held: VecDeque::new(),
            pull: None,
            waiting: Waiting::Unknown,
            is_paused: false,
            is_urgent: priority <= Priority::High,
            overtaken: 0,
            is_congested: false,
        };
        Self {
            rules,
            busy: 0,
            busy_unreserved: 0,
            running: [0; 5],
            // Barely short, until tasks turn out to be one or the other.
            mean_run: HOLD_MAX.mul_f64(0.98),
            lanes: Priority::ALL.map(lane),
        }
    }

    /// Changes the number of slots; tasks that run in slots too many finish.
    pub(super) fn set_slots(&mut self, slots: usize) {
        self.rules.slots = slots;
    }

    pub(super) fn slots(&self) -> usize {
        self.rules.slots
    }

    /// Pauses or resumes a priority; answers what it held, which is to be handed back.
    pub(super) fn set_paused(&mut self, priority: Priority, is_paused: bool) -> Vec<T> {
        let lane = &mut self.lanes[priority.index()];
        lane.is_paused = is_paused;
        lane.overtaken = 0;
        if is_paused {
            lane.waiting = Waiting::Unknown;
            lane.held.drain(..).collect()
        } else {
            Vec::new()
        }
    }

    pub(super) fn is_paused(&self, priority: Priority) -> bool {
        self.lanes[priority.index()].is_paused
    }

    /// A task has arrived; `behind` more wait at the broker, if that is known. Answers the task
    /// again where its priority is paused: it is to be handed back.
    pub(super) fn arrived(
        &mut self,
        priority: Priority,
        task: T,
        behind: Option<u64>,
    ) -> Option<T> {
        let lane = &mut self.lanes[priority.index()];
        lane.waiting = match behind {
            None => Waiting::Unknown,
            Some(0) => Waiting::None,
            Some(behind) => Waiting::Some(behind),
        };
        lane.pull = match lane.pull {
            Some(Pull::Immediate(due)) if due > 1 => Some(Pull::Immediate(due - 1)),
            Some(Pull::Standing(due)) if due > 1 => Some(Pull::Standing(due - 1)),
            _ => None,
        };
        if lane.is_paused {
            lane.waiting = Waiting::Unknown;
            return Some(task);
        }
        lane.held.push_back(task);
        None
    }

    /// The request has ended, and nothing waits.
    pub(super) fn empty(&mut self, priority: Priority) {
        self.ended(priority, Waiting::None);
        self.lanes[priority.index()].overtaken = 0;
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

    /// A task of this priority has left its slot after running for so long.
    pub(super) fn freed(&mut self, priority: Priority, ran: Duration) {
        let is_urgent = self.lanes[priority.index()].is_urgent;
        self.busy = self.busy.saturating_sub(1);
        let running = &mut self.running[priority.index()];
        *running = running.saturating_sub(1);
        if !is_urgent {
            self.busy_unreserved = self.busy_unreserved.saturating_sub(1);
        }
        let is_useless_to_others = is_urgent && self.rules.reserved > 0;
        for lane in &mut self.lanes {
            if lane.is_urgent || !is_useless_to_others {
                lane.is_congested = false;
            }
        }
        self.mean_run = self.mean_run.mul_f64(1.0 - MEAN_WEIGHT) + ran.mul_f64(MEAN_WEIGHT);
    }

    /// Gives up those of the held tasks that have waited too long, for other processes to run.
    pub(super) fn give_back(&mut self, is_overdue: impl Fn(&T) -> bool) -> Vec<T> {
        let mut given = Vec::new();
        for lane in &mut self.lanes {
            let overdue = lane.held.iter().take_while(|task| is_overdue(task)).count();
            if overdue > 0 {
                lane.waiting = Waiting::Unknown;
                lane.is_congested = true;
            }
            given.extend(lane.held.drain(..overdue));
        }
        given
    }

    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    pub(super) fn running(&self) -> [usize; 5] {
        self.running
    }

    /// Of each priority, the task that has been held longest.
    pub(super) fn first_held(&self) -> impl Iterator<Item = &T> {
        self.lanes.iter().filter_map(|lane| lane.held.front())
    }

    /// Whether a task of this priority would start at once.
    pub(super) fn has_room(&self, priority: Priority) -> bool {
        let lane = &self.lanes[priority.index()];
        !lane.is_paused && self.room().of(lane) > 0
    }

    /// The next thing to do; to be asked until it is `None`.
    pub(super) fn next(&mut self) -> Option<Order<T>> {
        let next = self.next_run().or_else(|| self.next_pull());
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

    fn room(&self) -> Room {
        let Rules {
            slots, reserved, ..
        } = self.rules;
        // With fewer slots than are reserved, one stays for everybody.
        let reserved = reserved.min(slots.saturating_sub(1));
        Room {
            any: slots.saturating_sub(self.busy),
            unreserved: (slots - reserved).saturating_sub(self.busy_unreserved),
        }
    }

    /// Those whose turn it is, then all by priority.
    fn turns(&self) -> [Priority; 5] {
        let mut turns = Priority::ALL;
        if turns.iter().any(|priority| self.is_aged(*priority)) {
            turns.sort_by_key(|priority| !self.is_aged(*priority));
        }
        turns
    }

    fn is_aged(&self, priority: Priority) -> bool {
        let max = self.rules.overtakes_max;
        max > 0 && self.lanes[priority.index()].overtaken >= max
    }

    /// How many slots it may take in one go.
    fn turn(&self, priority: Priority) -> usize {
        if self.is_aged(priority) {
            1
        } else {
            usize::MAX
        }
    }

    fn next_run(&mut self) -> Option<Order<T>> {
        let mut room = self.room();
        for priority in self.turns() {
            let turn = self.turn(priority);
            let lane = &mut self.lanes[priority.index()];
            if room.any == 0 {
                return None;
            }
            if lane.is_paused || room.of(lane) == 0 {
                continue;
            }
            if let Some(task) = lane.held.pop_front() {
                self.started(priority);
                return Some(Order::Run(task));
            }
            // Slots that its tasks, asked for and not yet here, have a claim on.
            room.take(lane, lane.promised().min(turn));
        }
        None
    }

    fn started(&mut self, priority: Priority) {
        self.busy += 1;
        self.running[priority.index()] += 1;
        if !self.lanes[priority.index()].is_urgent {
            self.busy_unreserved += 1;
        }
        let (_, from_it_on) = self.lanes.split_at_mut(priority.index());
        if let [lane, lower @ ..] = from_it_on {
            lane.overtaken = 0;
            for lane in lower.iter_mut().filter(|lane| lane.may_wait()) {
                lane.overtaken = lane.overtaken.saturating_add(1);
            }
        }
    }

    /// How many tasks of a priority may be held beside those that run.
    fn ahead(&self) -> usize {
        if self.mean_run >= HOLD_MAX {
            return 0;
        }
        let slots = self.rules.slots.max(1);
        let run = self.mean_run.max(Duration::from_nanos(1)).as_nanos();
        let within_lead = LEAD.as_nanos() * slots as u128 / run;
        usize::try_from(within_lead).map_or(slots, |ahead| ahead.clamp(1, slots))
    }

    fn next_pull(&mut self) -> Option<Order<T>> {
        let ahead = self.ahead();
        let slots = self.rules.slots;
        let mut room = self.room();
        for priority in self.turns() {
            let turn = self.turn(priority);
            let lane = &mut self.lanes[priority.index()];
            if lane.is_paused {
                continue;
            }
            // Where it is its turn, a priority gets one task, and the others go on.
            let (free, ahead) = (room.of(lane).min(turn), ahead.min(turn));
            if let Some(request) = lane.wanted(free, ahead, slots) {
                lane.pull = Some(match request {
                    PullRequest::Standing(due) => Pull::Standing(due),
                    PullRequest::Immediate(due) => Pull::Immediate(due),
                });
                return Some(Order::Pull(priority, request));
            }
            room.take(lane, lane.claim());
            // A priority with more waiting than there is room for leaves none to the lower ones.
            if room.of(lane) == 0 && lane.waiting != Waiting::None && turn == usize::MAX {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
