//! What the fleet answers over NATS, each on a subject of its own. One table: what serves them,
//! describes them and grants them reads it here.

use super::Scope;

/// A request that the fleet answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Among the endpoints of the service. With dots for its dash, it is the subject.
    pub name: &'static str,
    pub scope: Scope,
    pub does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Submits a task of the category, and of the priority, that the subject goes on with.
    Submit,
    /// The same, and answers with its outcome.
    Ask,
    /// What the operation of this id does in the HTTP API.
    Carry(&'static str),
    /// Describes the contract.
    Describe,
}

impl Call {
    const fn new(scope: Scope, name: &'static str, does: Does) -> Self {
        Self { name, scope, does }
    }

    const fn read(name: &'static str, operation: &'static str) -> Self {
        Self::new(Scope::Read, name, Does::Carry(operation))
    }

    const fn manage(name: &'static str, operation: &'static str) -> Self {
        Self::new(Scope::Manage, name, Does::Carry(operation))
    }

    pub const ALL: [Self; 35] = [
        Self::new(Scope::Submit, "ask", Does::Ask),
        Self::new(Scope::Submit, "submit", Does::Submit),
        Self::read("task-get", "show_task"),
        Self::read("task-list", "list_tasks"),
        Self::read("task-payload", "show_payload"),
        Self::manage("task-cancel", "cancel_task"),
        Self::manage("task-cancel_many", "cancel_tasks"),
        Self::manage("task-retry", "retry_task"),
        Self::manage("task-retry_many", "retry_tasks"),
        Self::read("dead_letter-get", "show_dead_letter"),
        Self::read("dead_letter-list", "list_dead_letters"),
        Self::manage("dead_letter-requeue", "requeue_dead_letter"),
        Self::manage("dead_letter-requeue_many", "requeue_dead_letters"),
        Self::manage("dead_letter-discard", "discard_dead_letter"),
        Self::read("schedule-get", "show_schedule"),
        Self::read("schedule-list", "list_schedules"),
        Self::manage("schedule-create", "create_schedule"),
        Self::manage("schedule-replace", "replace_schedule"),
        Self::manage("schedule-remove", "remove_schedule"),
        Self::read("category-list", "list_categories"),
        Self::read("queue-list", "queues"),
        Self::manage("queue-pause", "pause_queue"),
        Self::manage("queue-resume", "resume_queue"),
        Self::manage("queue-slots", "set_slots"),
        Self::read("breaker-list", "circuit_breakers"),
        Self::manage("breaker-open", "open_breaker"),
        Self::manage("breaker-reset", "reset_breaker"),
        Self::read("document-get", "show_document"),
        Self::read("document-list", "list_documents"),
        Self::manage("document-retire", "retire_document"),
        Self::read("health-get", "health"),
        Self::read("worker-list", "workers"),
        Self::read("stats-get", "stats"),
        Self::read("series-get", "show_series"),
        Self::new(Scope::Read, "protocol-get", Does::Describe),
    ];

    /// What the fleet listens to. Whoever submits goes on with the category, and may with the
    /// priority.
    pub fn subject(&self) -> String {
        let subject = self.bare_subject();
        match self.does {
            Does::Submit | Does::Ask => format!("{subject}.>"),
            Does::Carry(_) | Does::Describe => subject,
        }
    }

    fn bare_subject(&self) -> String {
        format!("fleet.{}", self.name.replace('-', "."))
    }

    /// The call that a request to this subject is.
    pub fn of(subject: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|call| {
            let bare = call.bare_subject();
            match call.does {
                Does::Submit | Does::Ask => subject
                    .strip_prefix(&bare)
                    .is_some_and(|rest| rest.starts_with('.')),
                Does::Carry(_) | Does::Describe => subject == bare,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_subject_leads_to_its_call() {
        for call in &Call::ALL {
            let subject = call.subject().replace(".>", ".query.high");
            assert_eq!(Call::of(&subject), Some(call), "{subject}");
        }
        for other in [
            "fleet.ask",
            "fleet.asks.query",
            "fleet.task",
            "tasks.query.high",
        ] {
            assert_eq!(Call::of(other), None, "{other}");
        }
    }

    #[test]
    fn no_two_calls_share_a_subject() {
        let subjects: BTreeSet<_> = Call::ALL.iter().map(Call::subject).collect();
        assert_eq!(subjects.len(), Call::ALL.len());
    }
}
