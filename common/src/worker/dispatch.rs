//! The loop of a worker process: what arrives goes to the scheduler, and its orders are
//! carried out. The scheduler decides; nothing here does.

mod upkeep;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::try_join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::hearing::Hearing;
use super::scheduler::{HOLD_MAX, Order, Rules, Scheduler};
use crate::broker::{Broker, BrokerError, Delivery, LaneEvent, PullLane, Settle, StreamLimits};
use crate::model::{Category, Control, Priority, WorkerState};

/// A request that the broker refused is made again after so long.
const LOST_PAUSE: Duration = Duration::from_millis(200);
/// What was asked for before a stop has arrived after so long, or never does.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(1);

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
    /// The latest look for tasks that cannot be read.
    quarantine: Option<AbortOnDropHandle<()>>,
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

impl Held {
    fn now(delivery: Box<Delivery>) -> Self {
        let since = Instant::now();
        Self { delivery, since }
    }
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
        let connections = broker.connections();
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
            quarantine: None,
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
                    self.quarantine();
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
        let arriving = self.arriving().await;
        let held = self.scheduler.give_back(|_| true);
        hand_back(held.into_iter().chain(arriving)).await;
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
                let task = Held::now(delivery);
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

    /// What has been asked for and comes: it would be lost with its inbox, and then wait for its lease
    /// to end. Nothing is handed back before: the requests that stand would get it again.
    async fn arriving(&mut self) -> Vec<Held> {
        let deadline = Instant::now() + ARRIVAL_TIME_MAX;
        let mut arrived = Vec::new();
        for lane in &mut self.lanes {
            let mut is_open = true;
            loop {
                if is_open && !lane.is_due() {
                    lane.close().await;
                    is_open = false;
                }
                match timeout_at(deadline, poll_fn(|cx| lane.poll_event(cx))).await {
                    Ok(LaneEvent::Task(delivery, _)) => arrived.push(Held::now(delivery)),
                    Ok(LaneEvent::Empty | LaneEvent::Lost(_)) => {}
                    Ok(LaneEvent::Closed) | Err(_) => break,
                }
            }
        }
        arrived
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
