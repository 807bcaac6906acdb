//! How a dependency is, asked of itself: what its breaker says is another matter.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Dependency, Instance};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Up,
    Down,
    /// Not configured: nothing is missing.
    Disabled,
    /// Asked, and no answer came that says the one or the other.
    Unknown,
}

impl Condition {
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Disabled, Self::Unknown];

    /// Which of two words about one dependency counts: what is down for somebody needs a look,
    /// and what works for somebody is not disabled.
    pub const fn weight(self) -> u8 {
        match self {
            Self::Disabled => 0,
            Self::Unknown => 1,
            Self::Up => 2,
            Self::Down => 3,
        }
    }

    /// The one of the two that counts.
    #[must_use]
    pub const fn or_weightier(self, other: Self) -> Self {
        if other.weight() > self.weight() {
            other
        } else {
            self
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
        }
    }
}

/// The answer of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probed {
    pub dependency: Dependency,
    pub condition: Condition,
    /// What is wrong, or why it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a process has found out about all that its work may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probes {
    /// By the clock of the process that asked.
    pub checked_at: Timestamp,
    pub answers: Vec<Probed>,
}

/// The same, on demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedBy {
    pub from: Instance,
    #[serde(flatten)]
    pub probes: Probes,
}
