//! A broker with its queues, and the slots around a scheduler.

use std::collections::VecDeque;
use std::time::Duration;

use super::rules;
use crate::broker::PullRequest;
use crate::model::Priority;
use crate::worker::scheduler::{Order, Rules, Scheduler};

/// A task as the model sees it: its priority and the order of its publication.
type Task = (Priority, usize);

/// The broker and the slots around a scheduler.
pub(super) struct Model {
    pub(super) scheduler: Scheduler<Task>,
    pub(super) slots: usize,
    pub(super) waiting: [VecDeque<Task>; 5],
    /// Tasks that standing requests may still bring.
    pub(super) standing: [usize; 5],
    /// Requests that the broker has not answered yet.
    pub(super) asked: VecDeque<(Priority, usize)>,
    pub(super) answers_at_once: bool,
    pub(super) running: Vec<Task>,
    pub(super) started: Vec<Task>,
    pub(super) published: usize,
    /// Starts of higher priorities since each had its last, while it had tasks waiting.
    pub(super) passed: [u32; 5],
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Publish(Priority),
    Answer,
    Finish { ran: Duration },
    GiveBack,
    Lose(Priority),
    Pause(Priority, bool),
}

impl Model {
    pub(super) fn new(slots: usize, answers_at_once: bool) -> Self {
        Self::with(rules(slots, 0, 0), answers_at_once)
    }

    pub(super) fn with(rules: Rules, answers_at_once: bool) -> Self {
        let mut model = Self {
            scheduler: Scheduler::new(rules),
            slots: rules.slots,
            waiting: Default::default(),
            standing: [0; 5],
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

    pub(super) fn step(&mut self, step: &Step) {
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

    pub(super) fn publish(&mut self, priority: Priority) {
        self.published += 1;
        self.waiting[priority.index()].push_back((priority, self.published));
        self.serve_standing(priority);
    }

    /// What waits goes to a request that stands, and what is refused is there again at once.
    fn serve_standing(&mut self, priority: Priority) {
        let rank = priority.index();
        while self.standing[rank] > 0 && !self.waiting[rank].is_empty() {
            self.standing[rank] -= 1;
            self.deliver(priority);
        }
    }

    pub(super) fn answer(&mut self) {
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

    pub(super) fn deliver(&mut self, priority: Priority) {
        let lane = &mut self.waiting[priority.index()];
        if let Some(task) = lane.pop_front() {
            let refused = self
                .scheduler
                .arrived(priority, task, Some(lane.len() as u64));
            if let Some(task) = refused {
                self.waiting[priority.index()].push_front(task);
            }
        }
    }

    pub(super) fn finish(&mut self, ran: Duration) {
        if let Some((priority, _)) = self.running.pop() {
            self.scheduler.freed(priority, ran);
        }
    }

    pub(super) fn give_back(&mut self) {
        let mut given = self.scheduler.give_back(|_| true);
        given.sort_by_key(|(_, order)| std::cmp::Reverse(*order));
        for task in given {
            self.waiting[task.0.index()].push_front(task);
        }
        // What goes back is available at once, to a standing request too.
        for priority in Priority::ALL {
            self.serve_standing(priority);
        }
    }

    pub(super) fn lose(&mut self, priority: Priority) {
        self.standing[priority.index()] = 0;
        self.asked.retain(|(asked, _)| *asked != priority);
        self.scheduler.lost(priority);
    }

    pub(super) fn carry_out_orders(&mut self) {
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

    pub(super) fn start(&mut self, task: Task, is_aged: bool) {
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
    pub(super) fn waits(&self, priority: Priority) -> bool {
        let is_held = !self.scheduler.lanes[priority.index()].held.is_empty();
        is_held || !self.waiting[priority.index()].is_empty()
    }

    pub(super) fn pause(&mut self, priority: Priority, is_paused: bool) {
        for task in self
            .scheduler
            .set_paused(priority, is_paused)
            .into_iter()
            .rev()
        {
            self.waiting[priority.index()].push_front(task);
        }
    }

    pub(super) fn running_unreserved(&self) -> usize {
        let may_not = |task: &&Task| task.0 > Priority::High;
        self.running.iter().filter(may_not).count()
    }

    pub(super) fn ask(&mut self, priority: Priority, request: PullRequest) {
        match request {
            PullRequest::Standing(batch) => {
                assert!(batch > 0, "asked for nothing");
                self.standing[priority.index()] = batch;
                self.serve_standing(priority);
            }
            PullRequest::Immediate(batch) => {
                assert!(batch > 0, "asked for nothing");
                self.asked.push_back((priority, batch));
            }
        }
    }

    pub(super) fn held(&self) -> usize {
        self.scheduler
            .lanes
            .iter()
            .map(|lane| lane.held.len())
            .sum()
    }

    pub(super) fn answer_all(&mut self) {
        while !self.asked.is_empty() {
            self.step(&Step::Answer);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}
