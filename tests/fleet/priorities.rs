//! A free slot takes the highest priority that waits, however much waits below it.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_common::broker::StreamLimits;
use flotilla_tests::{Script, Started};

use crate::harness::{Client, Nats, Setup, body, broker, eventually, gate, say, sleep, test};

const LOWEST_FIRST: [&str; 5] = ["bulk", "low", "normal", "high", "critical"];

/// The priorities of what was started, in that order. Ids begin with theirs.
fn priorities(started: &[Started]) -> Vec<&str> {
    let priority = |started: &Started| {
        let (priority, _) = started.task_id.split_once('-')?;
        LOWEST_FIRST.into_iter().find(|name| *name == priority)
    };
    started.iter().filter_map(priority).collect()
}

#[test]
fn behind_a_busy_slot_the_highest_is_next() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let client = Client::connect(nats).await;
        client.submit(&gate("blocker")).await;
        eventually("the slot is taken", async || {
            worker.handler.started().len() == 1
        })
        .await;
        for round in 0..3 {
            for name in LOWEST_FIRST {
                let subject = format!("tasks.query.{name}.{name}-{round}");
                client.publish(&subject, body(&say(name))).await;
            }
        }
        worker.handler.open("blocker");
        client.all_settled().await;

        let started = worker.handler.started();
        let mut highest_first = LOWEST_FIRST;
        highest_first.reverse();
        assert_eq!(
            priorities(&started),
            highest_first.map(|name| [name; 3]).concat()
        );
        worker.stop().await;
    });
}

#[test]
fn a_backlog_is_worked_off_from_the_top() {
    const EACH: usize = 60;
    const SLOTS: usize = 4;
    test(async |nats| {
        let _broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        for name in LOWEST_FIRST {
            let messages = (0..EACH).map(|n| {
                let subject = format!("tasks.query.{name}.{name}-{n}");
                (subject, body(&sleep(Duration::from_millis(1))))
            });
            client.publish_all(messages).await;
        }
        let worker = Setup::slots(SLOTS).overtakes_max(0).start(nats).await;
        client.all_settled().await;

        let started = worker.handler.started();
        let started = priorities(&started);
        assert_eq!(started.len(), LOWEST_FIRST.len() * EACH);
        let mut rank = HashMap::new();
        for (name, rank_of_it) in LOWEST_FIRST.iter().rev().zip(0..) {
            rank.insert(*name, rank_of_it);
        }
        for (place, name) in started.iter().enumerate() {
            // Slots that are free at once start their tasks in any order among themselves.
            let earliest = rank[name] * EACH;
            assert!(place + SLOTS >= earliest, "{name} at {place}: {started:?}");
        }
        worker.stop().await;
    });
}

#[test]
fn a_critical_task_passes_a_backlog_of_bulk() {
    const BULK: usize = 100_000;
    test(async |nats| {
        let worker = Setup::slots(2).start(nats).await;
        let client = Client::connect(nats).await;
        let script = body(&sleep(Duration::from_millis(2)));
        let messages = (0..BULK).map(|n| (format!("tasks.query.bulk.bulk-{n}"), script.clone()));
        client.publish_all(messages).await;
        for round in 1..=3 {
            eventually("bulk is under way", async || {
                worker.handler.started().len() > round * 50
            })
            .await;
            let before = worker.handler.started().len();
            let id = format!("critical-{round}");
            let subject = format!("tasks.query.critical.{id}");
            client.publish(&subject, body(&say(round))).await;
            client.outcome(&id).await;
            let started = worker.handler.started();
            let place = started.iter().position(|s| s.task_id == id).unwrap();
            // Those that start while the publish is on its way.
            assert!(place - before <= 25, "{} went before it", place - before);
        }
        assert!(client.state("TASKS_QUERY").await.messages > BULK as u64 / 2);
        worker.stop().await;
    });
}

/// What waits goes on while a higher priority keeps none of the slots busy.
#[test]
fn free_slots_are_not_kept_for_nobody() {
    test(async |nats| {
        let worker = Setup::slots(3).start(nats).await;
        let client = Client::connect(nats).await;
        for name in LOWEST_FIRST.iter().rev().take(2) {
            let subject = format!("tasks.query.{name}");
            client.publish(&subject, body(&gate("long"))).await;
        }
        eventually("two slots are taken", async || {
            worker.handler.started().len() == 2
        })
        .await;
        for n in 0..20 {
            let subject = format!("tasks.query.bulk.bulk-{n}");
            client.publish(&subject, body(&say(n))).await;
            client.outcome(&format!("bulk-{n}")).await;
        }
        worker.handler.open("long");
        client.all_settled().await;
        worker.stop().await;
    });
}

/// However many long tasks of low priority wait, an urgent one finds a slot at once.
#[test]
fn reserved_slots_are_not_for_long_low_tasks() {
    test(async |nats| {
        let worker = Setup::slots(3).reserved(1).start(nats).await;
        let client = Client::connect(nats).await;
        for n in 0..5 {
            client
                .publish("tasks.query.normal", body(&gate(&format!("gate {n}"))))
                .await;
        }
        let running = || worker.handler.started().len();
        eventually("the others are taken", async || running() == 2).await;
        for name in ["critical", "high"] {
            let subject = format!("tasks.query.{name}.{name}");
            client.publish(&subject, body(&say(1))).await;
            client.outcome(name).await;
        }
        assert_eq!(running(), 4, "two long ones and two urgent ones");
        for n in 0..5 {
            worker.handler.open(&format!("gate {n}"));
        }
        client.all_settled().await;
        worker.stop().await;
    });
}

/// The places at which bulk tasks start among high ones, of which there always are some.
async fn places_of_bulk(nats: &Nats, overtakes_max: u32) -> Vec<usize> {
    const HIGH: usize = 60;
    broker(nats, &StreamLimits::default()).await;
    let client = Client::connect(nats).await;
    for (name, count) in [("bulk", 4), ("high", HIGH)] {
        let messages =
            (0..count).map(|n| (format!("tasks.query.{name}.{name}-{n}"), body(&say(n))));
        client.publish_all(messages).await;
    }
    let worker = Setup::slots(1)
        .overtakes_max(overtakes_max)
        .start(nats)
        .await;
    client.all_settled().await;
    let started = worker.handler.started();
    worker.stop().await;
    let all = priorities(&started).into_iter().enumerate();
    all.filter_map(|(place, name)| (name == "bulk").then_some(place))
        .collect()
}

#[test]
fn nobody_starves() {
    test(async |nats| {
        let places = places_of_bulk(nats, 10).await;
        for (turn, place) in places.iter().enumerate() {
            // Ten others, one in the slot, one of each other priority: and that once a turn.
            assert!(*place <= (turn + 1) * 15, "{places:?}");
        }
    });
}

#[test]
fn strict_priority_lets_them() {
    test(async |nats| {
        assert_eq!(places_of_bulk(nats, 0).await, [60, 61, 62, 63]);
    });
}

/// Trap: delayed returns count as pending acks, and could fill a consumer's limit.
#[test]
fn thousands_that_back_off_stall_nobody() {
    const FAILING: usize = 3_000;
    test(async |nats| {
        let worker = Setup::slots(50).start(nats).await;
        let client = Client::connect(nats).await;
        let failing = Script {
            failures: 1,
            retry_after_ms: Some(600_000),
            ..Script::default()
        };
        let messages = (0..FAILING).map(|n| (format!("tasks.query.normal.n-{n}"), body(&failing)));
        client.publish_all(messages).await;
        eventually("all back off", async || {
            worker.handler.started().len() == FAILING
        })
        .await;
        let id = client.submit(&say(1)).await;
        assert_eq!(client.outcome(&id).await["status"], "completed");
        worker.stop().await;
    });
}
