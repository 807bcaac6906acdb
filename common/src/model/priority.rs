//! The five priorities, highest first. Each is a subject and a consumer of its category.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownName;

/// Ordered by urgency: `Critical < Bulk`, so the smallest runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "Wire")]
pub enum Priority {
    Critical,
    High,
    Normal,
    Low,
    Bulk,
}

impl Priority {
    pub const ALL: [Self; 5] = [
        Self::Critical,
        Self::High,
        Self::Normal,
        Self::Low,
        Self::Bulk,
    ];

    /// The token in subjects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Bulk => "bulk",
        }
    }

    /// The name as the HTTP API shows it.
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Normal => "NORMAL",
            Self::Low => "LOW",
            Self::Bulk => "BULK",
        }
    }

    /// The number that the HTTP API has always used.
    pub const fn number(self) -> u8 {
        match self {
            Self::Critical => 1,
            Self::High => 2,
            Self::Normal => 5,
            Self::Low => 8,
            Self::Bulk => 10,
        }
    }

    /// The place in [`Priority::ALL`], 0 for the highest.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Priority {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.name().eq_ignore_ascii_case(name) || p.number().to_string() == name)
            .ok_or_else(|| UnknownName {
                what: "priority",
                name: name.to_owned(),
                known: Self::ALL
                    .map(|p| format!("{} ({})", p.name().to_uppercase(), p.number()))
                    .join(", "),
            })
    }
}

impl From<Priority> for &'static str {
    fn from(priority: Priority) -> Self {
        priority.name()
    }
}

/// Clients write a priority by name, in any case, or by number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a priority's name (\"NORMAL\") or number (5)")]
enum Wire {
    Name(String),
    Number(u64),
}

impl TryFrom<Wire> for Priority {
    type Error = UnknownName;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        match wire {
            Wire::Name(name) => name.parse(),
            Wire::Number(number) => number.to_string().parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_write_name_or_number() {
        for text in ["\"HIGH\"", "\"high\"", "2", "\"2\""] {
            assert_eq!(
                serde_json::from_str::<Priority>(text).unwrap(),
                Priority::High
            );
        }
        let error = serde_json::from_str::<Priority>("\"urgent\"").unwrap_err();
        assert!(
            error.to_string().contains("CRITICAL (1), HIGH (2)"),
            "{error}"
        );
    }

    #[test]
    fn all_is_in_order_of_urgency() {
        assert!(Priority::ALL.is_sorted());
        assert!(
            Priority::ALL
                .iter()
                .enumerate()
                .all(|(i, p)| p.index() == i)
        );
    }
}
