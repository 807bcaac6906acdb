//! What stats knows, as a pure fold over the event log.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_common::broker::{EventLog, StoredEvent};
use flotilla_common::model::{
    Breaker, BreakerTransition, Dependency, Event, EventBody, Instance, Probes, Report,
    SeenInstance, Snapshot, Tally, WorkerState,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A process that fell silent without a goodbye is shown as missing for so long.
const SHOWN_FOR: Duration = Duration::from_secs(30);
/// Its last number is kept for longer: a report may be repeated after an outage.
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);

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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    instance: Instance,
    last_number: u64,
    last_seen: Timestamp,
    worker: Option<WorkerState>,
    #[serde(default)]
    probes: Option<Probes>,
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
        match stored.event {
            Some(Event {
                from,
                body: EventBody::Report(report),
            }) => self.take_report(from, report, stored.at),
            Some(Event {
                body: EventBody::Breaker(transition),
                ..
            }) => {
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
        seen.has_stopped = report.stopping;
        self.tally.merge(&report.tally);
    }

    /// What is told to others.
    pub(crate) fn snapshot(&self, alive_within: Duration) -> Snapshot {
        let seen = |seen: &Seen| SeenInstance {
            instance: seen.instance.clone(),
            last_seen: seen.last_seen,
            is_alive: age(self.now, seen.last_seen) <= alive_within,
            worker: seen.worker,
            probes: seen.probes.clone(),
        };
        let is_shown =
            |seen: &&Seen| !seen.has_stopped && age(self.now, seen.last_seen) <= SHOWN_FOR;
        Snapshot {
            since: self.since,
            tally: self.tally.clone(),
            instances: self.instances.values().filter(is_shown).map(seen).collect(),
            breakers: Dependency::ALL
                .iter()
                .map(|dependency| self.breaker(*dependency))
                .collect(),
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
mod tests {
    use flotilla_common::model::{BreakerState, Category, Ended, Lane, Priority};

    use super::*;

    const LANE: Lane = Lane {
        category: Category::Scraping,
        priority: Priority::Normal,
    };

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + n).unwrap()
    }

    fn instance(id: &str) -> Instance {
        Instance {
            id: id.to_owned(),
            service: "scraping".to_owned(),
            version: "0".to_owned(),
        }
    }

    fn report(sequence: u64, id: &str, number: u64, stopping: bool) -> StoredEvent {
        let mut tally = Tally::default();
        tally.ended(LANE, Ended::Completed, Duration::from_millis(5));
        let worker = Some(WorkerState {
            category: Category::Scraping,
            slots: 6,
            busy: 0,
            is_receiving: true,
        });
        let body = EventBody::Report(Report {
            number,
            worker,
            probes: None,
            tally,
            stopping,
        });
        let at = second(i64::try_from(sequence).unwrap());
        StoredEvent {
            sequence,
            at,
            event: Some(Event {
                from: instance(id),
                body,
            }),
        }
    }

    fn completed(state: &State) -> u64 {
        state
            .tally
            .lanes()
            .map(|(_, counts)| counts.completed)
            .sum()
    }

    #[test]
    fn a_report_counts_once_however_often_it_comes() {
        let mut state = State::default();
        state.apply(report(1, "a", 1, false));
        state.apply(report(2, "a", 1, false));
        state.apply(report(3, "a", 2, false));
        state.apply(report(3, "a", 2, false));
        state.apply(report(4, "b", 1, false));
        assert_eq!(completed(&state), 3);
    }

    #[test]
    fn a_restart_from_the_snapshot_counts_the_same_as_no_restart() {
        let events: Vec<u64> = (1..=20).collect();
        let mut whole = State::default();
        events
            .iter()
            .for_each(|n| whole.apply(report(*n, "a", *n, false)));
        for cut in 0..events.len() {
            let mut first = State {
                since: whole.since,
                ..State::default()
            };
            events[..cut]
                .iter()
                .for_each(|n| first.apply(report(*n, "a", *n, false)));
            let saved = serde_json::to_string(&first).unwrap();
            let mut second: State = serde_json::from_str(&saved).unwrap();
            // The log is followed from the snapshot on, and then some of it comes again.
            events[cut.saturating_sub(3)..]
                .iter()
                .for_each(|n| second.apply(report(*n, "a", *n, false)));
            assert_eq!(second.snapshot(SHOWN_FOR).tally.lanes().count(), 1);
            assert_eq!(completed(&second), completed(&whole), "cut at {cut}");
        }
    }

    #[test]
    fn who_falls_silent_is_missing_and_who_says_goodbye_is_gone() {
        let mut state = State::default();
        state.apply(report(1, "silent", 1, false));
        state.apply(report(2, "leaving", 1, true));
        state.apply(report(20, "alive", 1, false));
        let snapshot = state.snapshot(Duration::from_secs(5));
        let alive: Vec<_> = snapshot
            .instances
            .iter()
            .map(|i| (i.instance.id.as_str(), i.is_alive))
            .collect();
        assert_eq!(alive, [("alive", true), ("silent", false)]);
        state.apply(report(90, "alive", 2, false));
        assert_eq!(state.snapshot(Duration::from_secs(5)).instances.len(), 1);
    }

    #[test]
    fn what_was_found_of_dependencies_stands_until_they_are_asked_again() {
        let mut state = State::default();
        let probes = Probes {
            checked_at: second(1),
            answers: vec![],
        };
        let mut first = report(1, "a", 1, false);
        if let Some(Event {
            body: EventBody::Report(report),
            ..
        }) = &mut first.event
        {
            report.probes = Some(probes.clone());
        }
        state.apply(first);
        state.apply(report(2, "a", 2, false));
        let snapshot = state.snapshot(SHOWN_FOR);
        assert_eq!(snapshot.instances[0].probes, Some(probes));
    }

    #[test]
    fn a_log_made_anew_is_read_from_its_start() {
        let mut state = State {
            applied: 500,
            ..State::default()
        };
        assert_eq!(state.resume(EventLog { first: 1, last: 10 }), None);
        assert_eq!(state.applied(), 0);
        let mut state = State {
            applied: 500,
            ..State::default()
        };
        assert_eq!(
            state.resume(EventLog {
                first: 511,
                last: 600
            }),
            Some(10)
        );
    }

    #[test]
    fn breakers_are_closed_until_told_otherwise() {
        let mut state = State::default();
        assert!(
            state
                .snapshot(SHOWN_FOR)
                .breakers
                .iter()
                .all(|b| b.state == BreakerState::Closed)
        );
        let transition = BreakerTransition {
            dependency: Dependency::OpenAi,
            to: BreakerState::Open,
            failures: 5,
            at: second(1),
            cause: "5 failures in a row".to_owned(),
        };
        let event = Event {
            from: instance("a"),
            body: EventBody::Breaker(transition),
        };
        state.apply(StoredEvent {
            sequence: 1,
            at: second(1),
            event: Some(event),
        });
        let open = &state.snapshot(SHOWN_FOR).breakers[0];
        assert_eq!(
            (open.dependency, open.state, open.failures),
            (Dependency::OpenAi, BreakerState::Open, 5)
        );
    }
}
