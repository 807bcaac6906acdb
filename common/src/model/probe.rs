//! How a dependency is, asked of itself: what its breaker says is another matter.

use serde::{Deserialize, Serialize};

use super::Dependency;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Up,
    Down,
    /// Not configured: nothing is missing.
    Disabled,
}

/// The answer of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    pub dependency: Dependency,
    pub condition: Condition,
    /// What is wrong, or why it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
