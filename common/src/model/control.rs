//! What operators set for a category, live and for the whole fleet.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Category, Priority};

/// One message per category, replaced by compare-and-set; every worker follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Control {
    pub category: Category,
    /// Priorities of which no further task starts; all five where the category is paused.
    #[serde(default)]
    pub paused: BTreeSet<Priority>,
    /// Slots of every worker process, where not as its configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<usize>,
    pub changed_at: Timestamp,
}

impl Control {
    /// How a category stands that nobody has touched.
    pub fn untouched(category: Category) -> Self {
        Self {
            category,
            paused: BTreeSet::new(),
            slots: None,
            changed_at: Timestamp::UNIX_EPOCH,
        }
    }

    pub fn is_paused(&self, priority: Priority) -> bool {
        self.paused.contains(&priority)
    }
}
