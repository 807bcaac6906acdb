//! Tasks that wait for a time, to be retried or after they were put off: how many of each queue
//! do, and how many have seen it come and wait for a slot now.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_common::model::Lane;
use jiff::Timestamp;

/// By the places of their rows.
#[derive(Debug, Default)]
pub(super) struct Waits {
    later: BTreeMap<(Timestamp, u32), Lane>,
    queues: BTreeMap<Lane, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    later: u64,
    due: BTreeSet<(Timestamp, u32)>,
}

/// How a queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Their time is yet to come.
    pub(crate) later: u64,
    /// It has come, and no attempt has been recorded since.
    pub(crate) due: u64,
    /// For the first of these.
    pub(crate) due_since: Option<Timestamp>,
}

impl Waits {
    pub(super) fn insert(&mut self, lane: Lane, until: Timestamp, at: u32) {
        self.later.insert((until, at), lane);
        self.queues.entry(lane).or_default().later += 1;
    }

    pub(super) fn remove(&mut self, lane: Lane, until: Timestamp, at: u32) {
        let queue = self.queues.entry(lane).or_default();
        if self.later.remove(&(until, at)).is_some() {
            queue.later = queue.later.saturating_sub(1);
        } else {
            queue.due.remove(&(until, at));
        }
    }

    /// How it is now. Time must not go back: what is due stays due.
    pub(super) fn at(&mut self, now: Timestamp) -> BTreeMap<Lane, Waiting> {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let (due, lane) = first.remove_entry();
            let queue = self.queues.entry(lane).or_default();
            queue.later = queue.later.saturating_sub(1);
            queue.due.insert(due);
        }
        let waiting = |queue: &Queue| Waiting {
            later: queue.later,
            due: queue.due.len() as u64,
            due_since: queue.due.first().map(|(until, _)| *until),
        };
        let queues = self.queues.iter();
        queues
            .map(|(lane, queue)| (*lane, waiting(queue)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::model::{Category, Priority};

    use super::*;

    #[test]
    fn what_was_later_becomes_due_and_goes() {
        let lane = Lane {
            category: Category::Query,
            priority: Priority::High,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut waits = Waits::default();
        for (place, second) in [(1, 10), (2, 10), (3, 30)] {
            waits.insert(lane, at(second), place);
        }
        let waiting = |later, due, since: Option<i64>| Waiting {
            later,
            due,
            due_since: since.map(at),
        };
        assert_eq!(waits.at(at(9))[&lane], waiting(3, 0, None));
        assert_eq!(waits.at(at(10))[&lane], waiting(1, 2, Some(10)));
        waits.remove(lane, at(10), 1);
        waits.remove(lane, at(30), 3);
        assert_eq!(waits.at(at(40))[&lane], waiting(0, 1, Some(10)));
        waits.remove(lane, at(10), 2);
        assert_eq!(waits.at(at(40))[&lane], waiting(0, 0, None));
    }
}
