//! The loop of a worker process: what arrives goes to the scheduler, and its orders are
//! carried out. The scheduler decides; nothing here does.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::try_join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::hearing::{Finding, Hearing};
use super::scheduler::{HOLD_MAX, Order, Rules, Scheduler};
use crate::broker::{Broker, BrokerError, Delivery, LaneEvent, PullLane, Settle, StreamLimits};
use crate::model::{Category, Control, Priority, WorkerState};

/// A request that the broker refused is made again after so long.
const LOST_PAUSE: Duration = Duration::from_millis(200);
/// What was asked for before a stop has arrived after so long, or never does.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(1);

/// A look at the queue that takes longer says nothing.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);

pub(super) struct Dispatch {
    broker: Broker,
    category: Category,
    worker: String,
    streams: StreamLimits,
    /// Of every process, where operators have set nothing else.
    configured_slots: usize,
    scheduler: Scheduler<Held>,
    lanes: Vec<PullLane>,
    /// Priorities whose request was lost, to be made again at the given time.
    lost: Vec<(Priority, Instant)>,
    hearing: Hearing,
    connections: watch::Receiver<u64>,
    control: watch::Receiver<Control>,
    state: watch::Sender<WorkerState>,
    /// Apart from the rest, which changes with every task.
    is_receiving: watch::Sender<bool>,
}

/// What a dispatch is made with.
pub(super) struct Setup<'a> {
    pub(super) broker: &'a Broker,
    pub(super) category: Category,
    pub(super) worker: &'a str,
    pub(super) rules: Rules,
    /// How long a worker may hear nothing while tasks wait.
    pub(super) patience: Duration,
    pub(super) streams: &'a StreamLimits,
    pub(super) control: watch::Receiver<Control>,
}

/// A slot was left by a task of this priority that ran for so long.
pub(super) type Freed = (Priority, Duration);

/// Starts a task in a slot; says on the channel when it has left it, and how long it ran.
pub(super) type Start<'a> = &'a mut (dyn FnMut(Box<Delivery>, mpsc::UnboundedSender<Freed>) + Send);

/// A task that has come, and when.
struct Held {
    delivery: Box<Delivery>,
    since: Instant,
}

enum Event {
    Lane(Priority, LaneEvent),
    Freed(Freed),
    Timer,
    Reconnected,
    /// The connection has ended and never comes back.
    Closed,
    Controlled,
    Stop,
}

impl Dispatch {
    pub(super) async fn new(setup: Setup<'_>) -> Result<Self, BrokerError> {
        let Setup {
            broker,
            category,
            rules,
            ..
        } = setup;
        let lanes = Priority::ALL.map(|priority| broker.pull_lane(category, priority));
        let mut connections = broker.connections();
        connections.mark_unchanged();
        let state = WorkerState {
            category,
            slots: rules.slots,
            busy: 0,
            running: [0; 5],
            is_receiving: true,
            lacks_handlers: false,
        };
        let mut dispatch = Self {
            broker: broker.clone(),
            category,
            worker: setup.worker.to_owned(),
            streams: setup.streams.clone(),
            configured_slots: rules.slots,
            scheduler: Scheduler::new(rules),
            lanes: try_join_all(lanes).await?,
            lost: Vec::new(),
            hearing: Hearing::new(setup.patience),
            connections,
            control: setup.control,
            state: watch::Sender::new(state),
            is_receiving: watch::Sender::new(true),
        };
        dispatch.obey().await;
        Ok(dispatch)
    }

    pub(super) fn state(&self) -> watch::Receiver<WorkerState> {
        self.state.subscribe()
    }

    pub(super) fn is_receiving(&self) -> watch::Receiver<bool> {
        self.is_receiving.subscribe()
    }

    /// Runs until the stop, then hands back what has no slot. Running tasks are not its concern.
    /// Fails where no task can arrive any more.
    pub(super) async fn run(
        mut self,
        start: Start<'_>,
        stop: &CancellationToken,
    ) -> Result<(), BrokerError> {
        let (freed, mut left_slots) = mpsc::unbounded_channel();
        loop {
            self.carry_out_orders(start, &freed).await;
            match self.next_event(&mut left_slots, stop).await {
                Event::Lane(priority, event) => self.take(priority, event).await?,
                Event::Freed((priority, ran)) => self.scheduler.freed(priority, ran),
                Event::Timer => self.tick().await,
                Event::Reconnected => {
                    self.reset_all().await;
                    self.quarantine().await;
                }
                Event::Closed => return Err(closed()),
                Event::Controlled => self.obey().await,
                Event::Stop => break,
            }
            // Whatever else is there already is taken in first, so that one decision covers it.
            while let Ok((priority, ran)) = left_slots.try_recv() {
                self.scheduler.freed(priority, ran);
            }
            while let Some((priority, event)) = next_lane_event(&mut self.lanes).now_or_never() {
                self.take(priority, event).await?;
            }
        }
        hand_back(self.scheduler.give_back(|_| true)).await;
        self.give_back_arriving().await;
        Ok(())
    }

    async fn carry_out_orders(&mut self, start: Start<'_>, freed: &mpsc::UnboundedSender<Freed>) {
        while let Some(order) = self.scheduler.next() {
            match order {
                Order::Run(task) => start(task.delivery, freed.clone()),
                Order::Pull(priority, request) => {
                    if let Err(error) = self.lanes[priority.index()].request(request).await {
                        self.note_lost(priority, &error.to_string());
                    }
                }
            }
        }
        self.show();
    }

    fn show(&self) {
        let is_receiving = self.hearing.is_fine();
        self.state.send_replace(WorkerState {
            category: self.category,
            slots: self.scheduler.slots(),
            busy: self.scheduler.busy(),
            running: self.scheduler.running(),
            is_receiving,
            lacks_handlers: false,
        });
        self.is_receiving
            .send_if_modified(|is_so| std::mem::replace(is_so, is_receiving) != is_receiving);
    }

    /// Does what operators have set: pauses, resumes, and changes the slots.
    async fn obey(&mut self) {
        let control = self.control.borrow_and_update().clone();
        self.scheduler
            .set_slots(control.slots.unwrap_or(self.configured_slots));
        for priority in Priority::ALL {
            let is_paused = control.is_paused(priority);
            if is_paused == self.scheduler.is_paused(priority) {
                continue;
            }
            // A request that stands is left to itself: what it still brings is handed back as
            // well, where a task on its way to a request that was withdrawn would be lost until
            // its lease ends.
            hand_back(self.scheduler.set_paused(priority, is_paused)).await;
        }
    }

    async fn next_event(
        &mut self,
        freed: &mut mpsc::UnboundedReceiver<Freed>,
        stop: &CancellationToken,
    ) -> Event {
        let timer = self.next_timer();
        let lanes = &mut self.lanes;
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            Some(left) = freed.recv() => Event::Freed(left),
            (priority, event) = next_lane_event(lanes) => Event::Lane(priority, event),
            connected = self.connections.changed() => match connected {
                Ok(()) => Event::Reconnected,
                Err(_) => Event::Closed,
            },
            Ok(()) = self.control.changed() => Event::Controlled,
            () = tokio::time::sleep_until(timer) => Event::Timer,
        }
    }

    async fn take(&mut self, priority: Priority, event: LaneEvent) -> Result<(), BrokerError> {
        match event {
            LaneEvent::Task(delivery, behind) => {
                self.hearing.heard_task();
                let since = Instant::now();
                let task = Held { delivery, since };
                hand_back(self.scheduler.arrived(priority, task, behind)).await;
            }
            LaneEvent::Empty => {
                self.hearing.heard_answer();
                self.scheduler.empty(priority);
            }
            LaneEvent::Lost(reason) => self.note_lost(priority, &reason),
            LaneEvent::Closed => return Err(closed()),
        }
        Ok(())
    }

    /// To the scheduler the request still stands until the pause is over.
    fn note_lost(&mut self, priority: Priority, reason: &str) {
        tracing::debug!(%priority, reason, "a request for tasks was lost");
        self.lost.push((priority, Instant::now() + LOST_PAUSE));
    }

    fn next_timer(&self) -> Instant {
        let held = self.scheduler.first_held();
        let held = held.map(|task| task.since + HOLD_MAX);
        let silent = self.lanes.iter().filter_map(PullLane::silent_at);
        let lost = self.lost.iter().map(|(_, at)| *at);
        let first = held.into_iter().chain(silent).chain(lost).min();
        let look = self.hearing.next_look();
        first.map_or(look, |first| first.min(look))
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        let is_overdue = |task: &Held| task.since + HOLD_MAX <= now;
        hand_back(self.scheduler.give_back(is_overdue)).await;
        let (due, later): (Vec<_>, Vec<_>) = self.lost.drain(..).partition(|(_, at)| *at <= now);
        self.lost = later;
        if !due.is_empty() {
            self.repair().await;
        }
        for (priority, _) in due {
            self.scheduler.lost(priority);
        }
        for priority in Priority::ALL {
            if self.lanes[priority.index()]
                .silent_at()
                .is_some_and(|at| at <= now)
            {
                tracing::warn!(%priority, "no answer to a request for tasks: asking anew");
                self.hearing.silence();
                self.reset(priority).await;
            }
        }
        if self.hearing.next_look() <= now {
            self.listen().await;
        }
    }

    /// No task has come for a while: looks whether there is none, or whether we are deaf.
    async fn listen(&mut self) {
        let do_tasks_wait = self.do_tasks_wait_for_us().await;
        if self.hearing.looked(do_tasks_wait) == Finding::Deaf {
            tracing::warn!(category = %self.category, "tasks wait, there is room for them, and none comes: making all requests anew");
            // First the old requests: what a repaired consumer brings must not go to them.
            self.reset_all().await;
            self.repair().await;
        }
    }

    async fn do_tasks_wait_for_us(&self) -> bool {
        let has_room = |priority: &Priority| self.scheduler.has_room(*priority);
        if !self.broker.is_connected() || !Priority::ALL.iter().any(has_room) {
            return false;
        }
        let looking = async {
            tokio::try_join!(
                self.broker.stored_tasks(self.category),
                self.broker.backlog(self.category)
            )
        };
        let Ok(Ok((stored, backlog))) = tokio::time::timeout(LOOK_TIME_MAX, looking).await else {
            return false;
        };
        // What no consumer knows of is nobody's, until the consumers are repaired.
        let is_orphaned = stored > backlog.waiting() + backlog.in_flight();
        let mut depths = backlog.priorities.iter();
        is_orphaned || depths.any(|depth| depth.waiting > 0 && has_room(&depth.priority))
    }

    /// A consumer may have been deleted under us: then it is made anew.
    async fn repair(&self) {
        if !self.broker.is_connected() {
            return;
        }
        if let Err(error) = self.broker.ensure_topology(&self.streams).await {
            tracing::warn!(%error, "could not check the streams and consumers");
        }
    }

    async fn reset_all(&mut self) {
        self.lost.clear();
        for priority in Priority::ALL {
            self.reset(priority).await;
        }
    }

    /// The connection may have been lost over a message that cannot be read.
    async fn quarantine(&self) {
        if let Err(error) = self.broker.quarantine(self.category, &self.worker).await {
            tracing::warn!(%error, "could not look for unreadable tasks");
        }
    }

    async fn reset(&mut self, priority: Priority) {
        match self.lanes[priority.index()].reset().await {
            Ok(()) => self.scheduler.lost(priority),
            Err(error) => self.note_lost(priority, &error.to_string()),
        }
    }

    /// What is on its way would be lost with its inbox, and then wait for its lease to end.
    async fn give_back_arriving(&mut self) {
        let deadline = Instant::now() + ARRIVAL_TIME_MAX;
        loop {
            let is_due = self.lanes.iter().any(PullLane::is_due);
            let until = if is_due { deadline } else { Instant::now() };
            match timeout_at(until, next_lane_event(&mut self.lanes)).await {
                Ok((_, LaneEvent::Task(delivery, _))) => {
                    delivery.settle(Settle::Return(Duration::ZERO)).await;
                }
                Ok((_, LaneEvent::Empty | LaneEvent::Lost(_))) if is_due => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

fn closed() -> BrokerError {
    BrokerError::Closed {
        doing: "receiving tasks".to_owned(),
    }
}

/// For other processes, or for later.
async fn hand_back(tasks: impl IntoIterator<Item = Held>) {
    for task in tasks {
        task.delivery.settle(Settle::Return(Duration::ZERO)).await;
    }
}

/// The next event of any priority, the highest first.
async fn next_lane_event(lanes: &mut [PullLane]) -> (Priority, LaneEvent) {
    poll_fn(|cx| {
        for (priority, lane) in Priority::ALL.into_iter().zip(lanes.iter_mut()) {
            if let Poll::Ready(event) = lane.poll_event(cx) {
                return Poll::Ready((priority, event));
            }
        }
        Poll::Pending
    })
    .await
}
