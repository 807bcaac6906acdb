//! What a batch answers with: what became of each item. Results stay with their tasks.

use flotilla_common::model::{Failure, Item, TaskId};
use flotilla_common::worker::{ChildEnded, Standing};
use serde::Serialize;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    done: usize,
    failed: usize,
    /// Did not run: a repetition within the manifest, or its time was up.
    skipped: usize,
    cancelled: usize,
    items: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    /// In the order of the manifest: items, urls, documents, operations.
    index: usize,
    category: &'static str,
    status: &'static str,
    /// Its result is in the record of this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    /// The earlier item that is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<usize>,
}

impl Report {
    pub(crate) fn add(&mut self, index: usize, item: &Item, standing: &Standing) {
        let error = standing.error.clone();
        let (status, error) = match standing.ended {
            ChildEnded::Completed => ("completed", None),
            ChildEnded::Failed => ("failed", error),
            ChildEnded::Cancelled => ("cancelled", None),
            ChildEnded::Expired => ("expired", None),
            ChildEnded::Forgotten => (
                "unknown",
                Some(Failure::new(
                    "outcome_gone",
                    "its outcome is no longer kept (streams.results_age_max, results_bytes_max)",
                )),
            ),
        };
        match standing.ended {
            ChildEnded::Completed => self.done += 1,
            ChildEnded::Failed => self.failed += 1,
            ChildEnded::Cancelled => self.cancelled += 1,
            ChildEnded::Expired | ChildEnded::Forgotten => self.skipped += 1,
        }
        self.items.push(Line {
            index,
            category: item.category.name(),
            status,
            task_id: Some(standing.task_id.clone()),
            error,
            same_as: None,
        });
    }

    pub(crate) fn add_repetition(&mut self, index: usize, item: &Item, same_as: usize) {
        self.skipped += 1;
        self.items.push(Line {
            index,
            category: item.category.name(),
            status: "skipped",
            task_id: None,
            error: None,
            same_as: Some(same_as),
        });
    }
}
