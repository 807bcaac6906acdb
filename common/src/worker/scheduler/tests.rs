//! The scheduler against a model of the broker, through arbitrary histories.

mod model;

use std::time::Duration;

use proptest::prelude::*;

use self::model::{Model, Step};
use super::lane::STANDING_MAX;
use super::*;

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(10);

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.to_vec())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => priority().prop_map(Step::Publish),
        4 => Just(Step::Answer),
        4 => prop_oneof![Just(SHORT), Just(LONG)].prop_map(|ran| Step::Finish { ran }),
        1 => Just(Step::GiveBack),
        1 => priority().prop_map(Step::Lose),
    ]
}

fn step_or_pause() -> impl Strategy<Value = Step> {
    let pause = (priority(), any::<bool>()).prop_map(|(p, is_paused)| Step::Pause(p, is_paused));
    prop_oneof![6 => step(), 1 => pause]
}

fn history() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1_usize..8, prop::collection::vec(step(), 0..300))
}

fn rules(slots: usize, reserved: usize, overtakes_max: u32) -> Rules {
    Rules {
        slots,
        reserved,
        overtakes_max,
    }
}

proptest! {
    /// Aging lets nobody starve, and strictness lets the higher ones always win (asserted where
    /// the model starts a task). More tasks of high priorities come than slots are freed.
    #[test]
    fn nobody_is_passed_over_for_ever(
        slots in 1_usize..6,
        overtakes_max in 1_u32..12,
        steps in prop::collection::vec(step(), 0..600),
    ) {
        let mut model = Model::with(rules(slots, 0, overtakes_max), true);
        let bound = overtakes_max + slots as u32 + 3;
        for step in &steps {
            model.step(step);
            model.step(&Step::Publish(Priority::Critical));
            let worst = model.passed.iter().max().unwrap();
            prop_assert!(*worst <= bound, "{:?} above {bound}", model.passed);
        }
    }

    /// Reserved slots stay free of what may not take them, and nothing else stays free.
    #[test]
    fn reserved_slots_are_for_the_urgent(
        slots in 2_usize..8,
        reserved in 0_usize..8,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let reserved = reserved.min(slots - 1);
        let mut model = Model::with(rules(slots, reserved, 0), false);
        for step in &steps {
            model.step(step);
            prop_assert!(model.running_unreserved() <= slots - reserved);
        }
        model.answer_all();
        let [urgent, others] = [0..2, 2..5].map(|ranks: std::ops::Range<usize>| {
            Priority::ALL[ranks].iter().any(|p| model.waits(*p))
        });
        if model.running.len() < slots {
            prop_assert!(!urgent, "a slot is free, and an urgent task waits");
            if model.running_unreserved() < slots - reserved {
                prop_assert!(!others, "a slot is free, and a task that may take it waits");
            }
        }
    }

    /// Nothing of a paused priority starts or is held, and all of it runs once it is resumed.
    #[test]
    fn paused_priorities_rest(
        slots in 1_usize..6,
        steps in prop::collection::vec(step_or_pause(), 0..300),
    ) {
        let mut model = Model::with(rules(slots, 0, 3), true);
        for step in &steps {
            let before = model.started.len();
            model.step(step);
            for (priority, _) in &model.started[before..] {
                prop_assert!(!model.scheduler.is_paused(*priority));
            }
            for priority in Priority::ALL {
                let lane = &model.scheduler.lanes[priority.index()];
                prop_assert!(!lane.is_paused || lane.held.is_empty());
            }
        }
        for priority in Priority::ALL {
            model.step(&Step::Pause(priority, false));
        }
        while model.started.len() < model.published {
            let before = model.started.len();
            model.step(&Step::Finish { ran: LONG });
            prop_assert!(model.started.len() > before || !model.running.is_empty(), "stuck");
        }
    }

    /// No slot stays free while a task waits, once what was asked for has been answered.
    #[test]
    fn slots_are_not_idle_while_tasks_wait((slots, steps) in history()) {
        let mut model = Model::new(slots, false);
        for step in &steps {
            model.step(step);
        }
        model.answer_all();
        if model.running.len() < slots {
            prop_assert_eq!((model.waiting(), model.held()), (0, 0));
        }
    }

    /// With a broker that answers at once, a task never starts while a higher one waits
    /// (asserted where the model starts it).
    #[test]
    fn a_free_slot_takes_the_highest((slots, steps) in history()) {
        let mut model = Model::new(slots, true);
        for step in &steps {
            model.step(step);
        }
    }

    /// However late the broker answers, a priority holds no more than there are slots.
    #[test]
    fn no_more_is_held_than_there_are_slots((slots, steps) in history()) {
        let mut model = Model::new(slots, false);
        for step in &steps {
            model.step(step);
            prop_assert!(model.scheduler.lanes.iter().all(|lane| lane.held.len() <= slots));
        }
    }

    /// Every task that is published is started, exactly once, when slots keep being freed.
    #[test]
    fn nothing_is_lost_or_doubled((slots, steps) in history()) {
        let mut model = Model::new(slots, false);
        for step in &steps {
            model.step(step);
        }
        model.answer_all();
        while model.started.len() < model.published {
            let before = model.started.len();
            model.step(&Step::Finish { ran: LONG });
            model.answer_all();
            prop_assert!(model.started.len() > before || !model.running.is_empty(), "stuck");
        }
        let mut orders: Vec<usize> = model.started.iter().map(|(_, order)| *order).collect();
        orders.sort_unstable();
        prop_assert_eq!(orders, (1..=model.published).collect::<Vec<_>>());
    }
}

#[test]
fn long_tasks_are_not_fetched_ahead() {
    let mut model = Model::new(1, true);
    for _ in 0..50 {
        model.step(&Step::Publish(Priority::Normal));
        model.step(&Step::Finish { ran: LONG });
    }
    for _ in 0..5 {
        model.step(&Step::Publish(Priority::Normal));
    }
    model.step(&Step::Finish { ran: LONG });
    assert_eq!((model.held(), model.running.len()), (0, 1));
}

#[test]
fn short_tasks_are_fetched_ahead_and_not_one_by_one() {
    let mut model = Model::new(8, true);
    for _ in 0..50 {
        model.step(&Step::Publish(Priority::Normal));
        model.step(&Step::Finish { ran: SHORT });
    }
    for _ in 0..100 {
        model.step(&Step::Publish(Priority::Normal));
    }
    model.step(&Step::Finish { ran: SHORT });
    assert_eq!((model.held(), model.running.len()), (7, 8));
    for _ in 0..3 {
        model.step(&Step::Finish { ran: SHORT });
    }
    assert_eq!(model.held(), 8, "half of them had started");
}

/// What stands cannot be withdrawn, so that it brings one at a time where tasks are long.
#[test]
fn one_request_stands_for_several_short_tasks_and_for_a_single_long_one() {
    let mut model = Model::new(16, true);
    let standing = |model: &Model| model.standing[Priority::Normal.index()];
    for (ran, expected) in [(SHORT, STANDING_MAX), (LONG, 1)] {
        for _ in 0..50 {
            model.step(&Step::Publish(Priority::Normal));
            model.step(&Step::Finish { ran });
        }
        // What was asked for before the run times changed is used up first.
        while standing(&model) > 1 {
            model.step(&Step::Publish(Priority::Normal));
        }
        model.step(&Step::Publish(Priority::Normal));
        assert_eq!(standing(&model), expected, "tasks of {ran:?}");
    }
}

#[test]
fn the_longer_tasks_run_the_fewer_are_fetched_ahead() {
    for (ran, ahead) in [(1, 8), (10, 8), (20, 4), (49, 1), (51, 0)] {
        let mut scheduler = Scheduler::<()>::new(rules(8, 0, 0));
        scheduler.mean_run = Duration::from_millis(ran);
        assert_eq!(scheduler.ahead(), ahead, "{ran} ms");
    }
}

#[test]
fn slots_change_while_tasks_run() {
    let mut model = Model::new(1, true);
    for _ in 0..6 {
        model.step(&Step::Publish(Priority::Normal));
    }
    model.slots = 3;
    model.scheduler.set_slots(3);
    model.carry_out_orders();
    assert_eq!(model.running.len(), 3);
    model.scheduler.set_slots(1);
    model.step(&Step::Finish { ran: LONG });
    assert_eq!(
        model.running.len(),
        2,
        "those too many finish, and none starts"
    );
    for _ in 0..2 {
        model.step(&Step::Finish { ran: LONG });
    }
    assert_eq!(model.running.len(), 1);
}
