//! The scheduler against a model of the broker, through arbitrary histories.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A task as the model sees it: its priority and the order of its publication.
type Task = (Priority, usize);

/// The broker and the slots around a scheduler.
struct Model {
    scheduler: Scheduler<Task>,
    slots: usize,
    waiting: [VecDeque<Task>; 5],
    standing: [bool; 5],
    /// Requests that the broker has not answered yet.
    asked: VecDeque<(Priority, usize)>,
    answers_at_once: bool,
    running: Vec<Task>,
    started: Vec<Task>,
    published: usize,
    /// Starts of higher priorities since each had its last, while it had tasks waiting.
    passed: [u32; 5],
}

#[derive(Debug, Clone)]
enum Step {
    Publish(Priority),
    Answer,
    Finish { ran: Duration },
    GiveBack,
    Lose(Priority),
    Pause(Priority, bool),
}

impl Model {
    fn new(slots: usize, answers_at_once: bool) -> Self {
        Self::with(rules(slots, 0, 0), answers_at_once)
    }

    fn with(rules: Rules, answers_at_once: bool) -> Self {
        let mut model = Self {
            scheduler: Scheduler::new(rules),
            slots: rules.slots,
            waiting: Default::default(),
            standing: [false; 5],
            asked: VecDeque::new(),
            answers_at_once,
            running: Vec::new(),
            started: Vec::new(),
            published: 0,
            passed: [0; 5],
        };
        model.carry_out_orders();
        model
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(priority) => self.publish(*priority),
            Step::Answer => self.answer(),
            Step::Finish { ran } => self.finish(*ran),
            Step::GiveBack => self.give_back(),
            Step::Lose(priority) => self.lose(*priority),
            Step::Pause(priority, is_paused) => self.pause(*priority, *is_paused),
        }
        self.carry_out_orders();
    }

    fn publish(&mut self, priority: Priority) {
        self.published += 1;
        self.waiting[priority.index()].push_back((priority, self.published));
        if std::mem::take(&mut self.standing[priority.index()]) {
            self.deliver(priority);
        }
    }

    fn answer(&mut self) {
        let Some((priority, batch)) = self.asked.pop_front() else {
            return;
        };
        for _ in 0..batch {
            if self.waiting[priority.index()].is_empty() {
                return self.scheduler.empty(priority);
            }
            self.deliver(priority);
        }
    }

    fn deliver(&mut self, priority: Priority) {
        let lane = &mut self.waiting[priority.index()];
        if let Some(task) = lane.pop_front() {
            let refused = self.scheduler.arrived(priority, task, lane.len() as u64);
            if let Some(task) = refused {
                self.waiting[priority.index()].push_front(task);
            }
        }
    }

    fn finish(&mut self, ran: Duration) {
        if let Some((priority, _)) = self.running.pop() {
            self.scheduler.freed(priority, ran);
        }
    }

    fn give_back(&mut self) {
        let mut given = self.scheduler.give_back();
        given.sort_by_key(|(_, order)| std::cmp::Reverse(*order));
        for task in given {
            self.waiting[task.0.index()].push_front(task);
        }
        // What goes back is available at once, to a standing request too.
        for priority in Priority::ALL {
            if !self.waiting[priority.index()].is_empty()
                && std::mem::take(&mut self.standing[priority.index()])
            {
                self.deliver(priority);
            }
        }
    }

    fn lose(&mut self, priority: Priority) {
        self.standing[priority.index()] = false;
        self.asked.retain(|(asked, _)| *asked != priority);
        self.scheduler.lost(priority);
    }

    fn carry_out_orders(&mut self) {
        loop {
            loop {
                let aged = Priority::ALL.map(|priority| self.scheduler.is_aged(priority));
                match self.scheduler.next() {
                    Some(Order::Run(task)) => self.start(task, aged[task.0.index()]),
                    Some(Order::Pull(priority, request)) => self.ask(priority, request),
                    None => break,
                }
            }
            if !self.answers_at_once || self.asked.is_empty() {
                return;
            }
            self.answer();
        }
    }

    fn start(&mut self, task: Task, is_aged: bool) {
        let rank = task.0.index();
        if self.answers_at_once && !is_aged {
            let passed_over = Priority::ALL
                .iter()
                .take(rank)
                .any(|p| !self.scheduler.is_paused(*p) && !self.waiting[p.index()].is_empty());
            assert!(!passed_over, "{task:?} started while a higher one waited");
        }
        self.running.push(task);
        self.started.push(task);
        assert!(self.running.len() <= self.slots, "more tasks than slots");
        let waits = |p: Priority| self.waits(p);
        self.passed = Priority::ALL.map(|p| match p.index() {
            lower if lower > rank && waits(p) => self.passed[lower] + 1,
            higher if higher < rank => self.passed[higher],
            _ => 0,
        });
    }

    /// Whether tasks of a priority have not started, be they at the broker or held.
    fn waits(&self, priority: Priority) -> bool {
        let is_held = !self.scheduler.lanes[priority.index()].held.is_empty();
        is_held || !self.waiting[priority.index()].is_empty()
    }

    fn pause(&mut self, priority: Priority, is_paused: bool) {
        for task in self
            .scheduler
            .set_paused(priority, is_paused)
            .into_iter()
            .rev()
        {
            self.waiting[priority.index()].push_front(task);
        }
    }

    fn running_unreserved(&self) -> usize {
        let may_not = |task: &&Task| task.0 > Priority::High;
        self.running.iter().filter(may_not).count()
    }

    fn ask(&mut self, priority: Priority, request: PullRequest) {
        match request {
            PullRequest::Standing if self.waiting[priority.index()].is_empty() => {
                self.standing[priority.index()] = true;
            }
            PullRequest::Standing => self.deliver(priority),
            PullRequest::Immediate(batch) => {
                assert!(batch > 0, "asked for nothing");
                self.asked.push_back((priority, batch));
            }
        }
    }

    fn held(&self) -> usize {
        self.scheduler
            .lanes
            .iter()
            .map(|lane| lane.held.len())
            .sum()
    }

    fn answer_all(&mut self) {
        while !self.asked.is_empty() {
            self.step(&Step::Answer);
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}

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

    /// Whatever the timing, at most one task per priority is held beyond the slots.
    #[test]
    fn at_most_one_is_held_per_priority((slots, steps) in history()) {
        let mut model = Model::new(slots, true);
        for step in &steps {
            model.step(step);
            prop_assert!(model.scheduler.lanes.iter().all(|lane| lane.held.len() <= 1));
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
fn short_tasks_are_fetched_one_ahead() {
    let mut model = Model::new(1, true);
    for _ in 0..5 {
        model.step(&Step::Publish(Priority::Normal));
    }
    model.step(&Step::Finish { ran: SHORT });
    assert_eq!((model.held(), model.running.len()), (1, 1));
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
