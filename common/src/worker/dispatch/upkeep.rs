//! What keeps tasks coming: requests that were lost or have fallen silent are made anew, consumers that are
//! gone too, and what would end every connection is taken out of the queue.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Dispatch, HOLD_MAX, Held, hand_back};
use crate::model::Priority;
use crate::worker::hearing::Finding;

/// A look at the queue that takes longer says nothing.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);

impl Dispatch {
    pub(super) async fn tick(&mut self) {
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

    pub(super) async fn reset_all(&mut self) {
        self.lost.clear();
        for priority in Priority::ALL {
            self.reset(priority).await;
        }
    }

    /// The connection may have been lost over a message that cannot be read. Looked for beside the loop, as
    /// there may be thousands to look through.
    pub(super) fn quarantine(&mut self) {
        let (broker, category) = (self.broker.clone(), self.category);
        let worker = self.worker.clone();
        self.quarantine = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = broker.quarantine(category, &worker).await {
                tracing::warn!(%error, "could not look for unreadable tasks");
            }
        })));
    }

    async fn reset(&mut self, priority: Priority) {
        match self.lanes[priority.index()].reset().await {
            Ok(()) => self.scheduler.lost(priority),
            Err(error) => self.note_lost(priority, &error.to_string()),
        }
    }
}
