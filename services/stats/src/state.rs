//! What stats knows, as a pure fold over the event log.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flotilla_common::broker::{EventLog, StoredEvent};
use flotilla_common::model::category::known_or_none;
use flotilla_common::model::{
    Breaker, BreakerTransition, Category, Dependency, Event, EventBody, Instance, LaneState,
    Probes, Range, Report, SeenInstance, Series, SeriesQuery, Snapshot, SpanCounts, Tally,
    WorkerState,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::queues::{Look, Queue};
use crate::series::{History, Slots};

/// A process that fell silent without a goodbye is shown as missing for so long.
const SHOWN_FOR: Duration = Duration::from_secs(30);
/// Its last number is kept for longer: a report may be repeated after an outage.
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);
/// A worker that was heard of so lately has its slots.
const PRESENT_FOR: Duration = Duration::from_secs(3);
/// Transitions of the breakers that are remembered; older ones go first.
const TRANSITIONS_MAX: usize = 200;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last event that is in here.
    applied: u64,
    since: Timestamp,
    /// The time of the last event, by the broker's clock. Ages are measured against it, so
    /// that nobody's clock has to agree with anybody's.
    now: Timestamp,
    tally: Tally,
    instances: BTreeMap<String, Seen>,
    breakers: BTreeMap<Dependency, BreakerTransition>,
    /// Of all of them, oldest first.
    #[serde(default)]
    transitions: VecDeque<BreakerTransition>,
    #[serde(default = "histories")]
    histories: [History; 2],
    /// The broker as last looked at.
    #[serde(skip)]
    look: Option<Look>,
}

fn histories() -> [History; 2] {
    Range::ALL.map(History::new)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    instance: Instance,
    last_number: u64,
    last_seen: Timestamp,
    #[serde(default, deserialize_with = "known_or_none")]
    worker: Option<WorkerState>,
    #[serde(default)]
    probes: Option<Probes>,
    #[serde(default)]
    spans: Option<SpanCounts>,
    has_stopped: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            applied: 0,
            since: Timestamp::now(),
            now: Timestamp::UNIX_EPOCH,
            tally: Tally::default(),
            instances: BTreeMap::new(),
            breakers: BTreeMap::new(),
            transitions: VecDeque::new(),
            histories: histories(),
            look: None,
        }
    }
}

impl State {
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// Puts the state in front of the log as it is now. Answers how many events were dropped
    /// from the log before they could be counted.
    pub(crate) fn resume(&mut self, log: EventLog) -> Option<u64> {
        if log.last < self.applied {
            // The log was made anew: all that it has is new.
            self.applied = log.first.saturating_sub(1);
            return None;
        }
        let lost = log.first.saturating_sub(self.applied + 1);
        (lost > 0 && self.applied > 0).then_some(lost)
    }

    /// Takes in the next event of the log.
    pub(crate) fn apply(&mut self, stored: StoredEvent) {
        if stored.sequence <= self.applied {
            return;
        }
        self.applied = stored.sequence;
        self.now = self.now.max(stored.at);
        for history in &mut self.histories {
            history.reach(self.now);
        }
        match stored.event {
            Some(Event {
                from,
                body: EventBody::Report(report),
            }) => self.take_report(from, report, stored.at),
            Some(Event {
                body: EventBody::Breaker(transition),
                ..
            }) => {
                self.transitions.push_back(transition.clone());
                if self.transitions.len() > TRANSITIONS_MAX {
                    self.transitions.pop_front();
                }
                self.breakers.insert(transition.dependency, transition);
            }
            None => tracing::warn!(
                sequence = stored.sequence,
                "an event cannot be read; is a newer version running?"
            ),
        }
        let now = self.now;
        self.instances
            .retain(|_, seen| age(now, seen.last_seen) <= REMEMBERED_FOR);
    }

    fn take_report(&mut self, instance: Instance, report: Report, at: Timestamp) {
        let seen = self
            .instances
            .entry(instance.id.clone())
            .or_insert_with(|| Seen {
                instance,
                last_number: 0,
                last_seen: at,
                worker: None,
                probes: None,
                spans: None,
                has_stopped: false,
            });
        if report.number <= seen.last_number {
            return;
        }
        seen.last_number = report.number;
        seen.last_seen = at;
        seen.worker = report.worker;
        // Told when it was asked, and true until it is asked again.
        seen.probes = report.probes.or(seen.probes.take());
        seen.spans = report.spans;
        seen.has_stopped = report.stopping;
        self.tally.merge(&report.tally);
        for history in &mut self.histories {
            history.add(&report.tally);
        }
        if let Some(worker) = report.worker {
            self.see_slots(worker.category);
        }
    }

    fn see_slots(&mut self, category: Category) {
        let mut slots = Slots::default();
        for seen in self.instances.values() {
            let is_present = !seen.has_stopped && age(self.now, seen.last_seen) <= PRESENT_FOR;
            let worker = seen.worker.filter(|worker| worker.category == category);
            if let Some(worker) = worker.filter(|_| is_present) {
                slots.slots += worker.slots as u64;
                slots.busy += worker.busy as u64;
            }
        }
        for history in &mut self.histories {
            history.saw_slots(category, slots);
        }
    }

    /// Takes down how much waits, as the broker has just said.
    pub(crate) fn looked(&mut self, look: Look) {
        for history in &mut self.histories {
            let waiting = look.queues.iter().map(|queue| (queue.lane, queue.waiting));
            history.saw_waiting(waiting.collect());
        }
        self.look = Some(look);
    }

    pub(crate) fn look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    pub(crate) fn histories(&mut self) -> &mut [History; 2] {
        &mut self.histories
    }

    pub(crate) fn series(&self, query: &SeriesQuery) -> Series {
        let [hour, day] = &self.histories;
        let history = match query.range {
            Range::Hour => hour,
            Range::Day => day,
        };
        let (from, until) = history.span(self.now);
        let transitions = self.transitions.iter();
        Series {
            range: query.range,
            step_seconds: query.range.step().as_secs(),
            from,
            until,
            lines: history.lines(query, self.now),
            breakers: transitions.filter(|t| t.at >= from).cloned().collect(),
        }
    }

    fn lanes(&self) -> Vec<LaneState> {
        let [hour, _] = &self.histories;
        let ended = |ago| {
            let since = self.now.checked_sub(ago).unwrap_or(self.now);
            hour.ended_since(since)
        };
        let (last_minute, last_hour) = (ended(MINUTE), ended(HOUR));
        let state = |queue: &Queue| LaneState {
            lane: queue.lane,
            waiting: queue.waiting,
            in_flight: queue.in_flight,
            oldest_at: queue.oldest_at,
            ended_last_minute: last_minute.get(&queue.lane).copied().unwrap_or(0),
            ended_last_hour: last_hour.get(&queue.lane).copied().unwrap_or(0),
        };
        let looked = self.look.iter().flat_map(|look| &look.queues);
        looked.map(state).collect()
    }

    /// What is told to others; `outcomes` are those that are stored, which a process that was
    /// killed may not have reported.
    pub(crate) fn snapshot(&self, alive_within: Duration, outcomes: &Tally) -> Snapshot {
        let mut tally = self.tally.clone();
        tally.raise_to(outcomes);
        let seen = |seen: &Seen| SeenInstance {
            instance: seen.instance.clone(),
            last_seen: seen.last_seen,
            is_alive: age(self.now, seen.last_seen) <= alive_within,
            worker: seen.worker,
            probes: seen.probes.clone(),
            spans: seen.spans,
        };
        let is_shown =
            |seen: &&Seen| !seen.has_stopped && age(self.now, seen.last_seen) <= SHOWN_FOR;
        Snapshot {
            since: self.since,
            tally,
            instances: self.instances.values().filter(is_shown).map(seen).collect(),
            breakers: Dependency::ALL
                .iter()
                .map(|dependency| self.breaker(*dependency))
                .collect(),
            breaker_history: self.transitions.iter().cloned().collect(),
            lanes: self.lanes(),
        }
    }

    fn breaker(&self, dependency: Dependency) -> Breaker {
        let last = self.breakers.get(&dependency);
        Breaker {
            dependency,
            state: last.map_or_else(Default::default, |transition| transition.to),
            failures: last.map_or(0, |transition| transition.failures),
            since: last.map(|transition| transition.at),
            cause: last.map(|transition| transition.cause.clone()),
        }
    }
}

fn age(now: Timestamp, then: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
