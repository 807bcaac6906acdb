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
}

#[derive(Debug, Clone)]
enum Step {
    Publish(Priority),
    Answer,
    Finish { ran: Duration },
    GiveBack,
    Lose(Priority),
}

impl Model {
    fn new(slots: usize, answers_at_once: bool) -> Self {
        let mut model = Self {
            scheduler: Scheduler::new(slots),
            slots,
            waiting: Default::default(),
            standing: [false; 5],
            asked: VecDeque::new(),
            answers_at_once,
            running: Vec::new(),
            started: Vec::new(),
            published: 0,
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
            self.scheduler.arrived(priority, task, lane.len() as u64);
        }
    }

    fn finish(&mut self, ran: Duration) {
        if self.running.pop().is_some() {
            self.scheduler.freed(ran);
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
            while let Some(order) = self.scheduler.next() {
                match order {
                    Order::Run(task) => self.start(task),
                    Order::Pull(priority, request) => self.ask(priority, request),
                }
            }
            if !self.answers_at_once || self.asked.is_empty() {
                return;
            }
            self.answer();
        }
    }

    fn start(&mut self, task: Task) {
        if self.answers_at_once {
            let passed_over = Priority::ALL
                .iter()
                .take(task.0.index())
                .any(|p| !self.waiting[p.index()].is_empty());
            assert!(!passed_over, "{task:?} started while a higher one waited");
        }
        self.running.push(task);
        self.started.push(task);
        assert!(self.running.len() <= self.slots, "more tasks than slots");
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

fn history() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1_usize..8, prop::collection::vec(step(), 0..300))
}

proptest! {
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
