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
        running: [0; 5],
        is_receiving: true,
        lacks_handlers: false,
    });
    let body = EventBody::Report(Report {
        number,
        worker,
        probes: None,
        spans: None,
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
        assert_eq!(
            second
                .snapshot(SHOWN_FOR, &Tally::default())
                .tally
                .lanes()
                .count(),
            1
        );
        assert_eq!(completed(&second), completed(&whole), "cut at {cut}");
    }
}

#[test]
fn who_falls_silent_is_missing_and_who_says_goodbye_is_gone() {
    let mut state = State::default();
    state.apply(report(1, "silent", 1, false));
    state.apply(report(2, "leaving", 1, true));
    state.apply(report(20, "alive", 1, false));
    let snapshot = state.snapshot(Duration::from_secs(5), &Tally::default());
    let alive: Vec<_> = snapshot
        .instances
        .iter()
        .map(|i| (i.instance.id.as_str(), i.is_alive))
        .collect();
    assert_eq!(alive, [("alive", true), ("silent", false)]);
    state.apply(report(90, "alive", 2, false));
    assert_eq!(
        state
            .snapshot(Duration::from_secs(5), &Tally::default())
            .instances
            .len(),
        1
    );
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
    let snapshot = state.snapshot(SHOWN_FOR, &Tally::default());
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
            .snapshot(SHOWN_FOR, &Tally::default())
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
    let open = &state.snapshot(SHOWN_FOR, &Tally::default()).breakers[0];
    assert_eq!(
        (open.dependency, open.state, open.failures),
        (Dependency::OpenAi, BreakerState::Open, 5)
    );
}

#[test]
fn a_minute_has_as_many_outcomes_wherever_in_its_stretch_it_ends() {
    let mut state = State::default();
    for n in 1..=4_000 {
        state.apply(report(n, "a", n, false));
        let ended = |ago| {
            let [hour, _] = &state.histories;
            hour.ended_since(state.now - ago)[&LANE]
        };
        if n > 100 {
            // One a second, the first and the last of them included.
            assert!((60..=61).contains(&ended(MINUTE)), "{n}: {}", ended(MINUTE));
        }
        if n > 3_700 {
            // Of the hour no more is kept than that.
            assert!(
                (3_590..=3_601).contains(&ended(HOUR)),
                "{n}: {}",
                ended(HOUR)
            );
        }
    }
}
