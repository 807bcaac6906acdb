//! Every outcome counted by its record, once: it is written once and never changed. Processes
//! report what they did sooner, but one that is killed takes its last second along.

use flotilla_common::broker::{RecordHead, RecordLog};
use flotilla_common::model::{Lane, Tally};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    /// The last record that is counted.
    counted: u64,
    tally: Tally,
}

impl Outcomes {
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Puts the count in front of the stored records as they are now.
    pub(crate) fn resume(&mut self, log: RecordLog) {
        if log.last < self.counted {
            // They were made anew: all that there is has not been counted.
            self.counted = log.first.saturating_sub(1);
        }
    }

    pub(super) fn count(&mut self, head: &RecordHead) {
        if head.revision <= self.counted {
            return;
        }
        self.counted = head.revision;
        let lane = Lane {
            category: head.category,
            priority: head.summary.priority,
        };
        self.tally.outcome(lane, head.summary.state);
    }
}
