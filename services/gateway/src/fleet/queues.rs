//! What waits, by queue and priority, as the broker counts it.

use std::collections::BTreeMap;

use flotilla_common::broker::Backlog;
use flotilla_common::model::Control;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Queues {
    queues: BTreeMap<&'static str, Queue>,
    total: Total,
}

#[derive(Debug, Serialize, ToSchema)]
struct Queue {
    /// Not handed to a worker yet.
    size: u64,
    /// Running, or backing off until a retry.
    in_flight: u64,
    /// The size, by priority.
    by_priority: BTreeMap<&'static str, u64>,
    /// The priorities that an operator has paused.
    paused: Vec<&'static str>,
    /// Slots of every worker process, where an operator has set them.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<usize>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = QueueTotal)]
struct Total {
    size: u64,
    in_flight: u64,
}

impl Queues {
    /// Of backlogs and controls in the same order of categories.
    pub(super) fn of(backlogs: &[Backlog], controls: &[Control]) -> Self {
        let queue = |(backlog, control): (&Backlog, &Control)| {
            (backlog.category.queue_name(), Queue::of(backlog, control))
        };
        Self {
            queues: backlogs.iter().zip(controls).map(queue).collect(),
            total: Total {
                size: backlogs.iter().map(Backlog::waiting).sum(),
                in_flight: backlogs.iter().map(Backlog::in_flight).sum(),
            },
        }
    }
}

impl Queue {
    fn of(backlog: &Backlog, control: &Control) -> Self {
        let depths = backlog.priorities.iter();
        Self {
            size: backlog.waiting(),
            in_flight: backlog.in_flight(),
            by_priority: depths
                .map(|depth| (depth.priority.api_name(), depth.waiting))
                .collect(),
            paused: control.paused.iter().map(|p| p.api_name()).collect(),
            slots: control.slots,
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::QueueDepth;
    use flotilla_common::model::{Category, Priority};
    use serde_json::json;

    use super::*;

    #[test]
    fn queues_have_the_names_of_the_contract() {
        let depth = |priority, waiting| QueueDepth {
            priority,
            waiting,
            in_flight: 1,
        };
        let backlog = Backlog {
            category: Category::Scraping,
            priorities: vec![depth(Priority::Critical, 2), depth(Priority::Bulk, 3)],
        };
        let control = Control {
            paused: [Priority::Bulk].into(),
            ..Control::untouched(Category::Scraping)
        };
        let expected = json!({
            "queues": {"scraping_queue": {
                "size": 5, "in_flight": 2, "by_priority": {"CRITICAL": 2, "BULK": 3},
                "paused": ["BULK"],
            }},
            "total": {"size": 5, "in_flight": 2},
        });
        assert_eq!(
            serde_json::to_value(Queues::of(&[backlog], &[control])).unwrap(),
            expected
        );
    }
}
