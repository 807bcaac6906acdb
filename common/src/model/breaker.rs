//! Circuit breakers as the fleet talks about them: which dependencies have one, and its states.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A dependency outside the fleet that a breaker guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    OpenAi,
    ChromaDb,
    Playwright,
}

impl Dependency {
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::ChromaDb, Self::Playwright];

    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::ChromaDb => "chromadb",
            Self::Playwright => "playwright",
        }
    }

    /// Failures in a row that open the breaker.
    pub const fn failure_threshold(self) -> u32 {
        match self {
            Self::OpenAi | Self::Playwright => 5,
            Self::ChromaDb => 3,
        }
    }

    /// How long it stays open before it lets one probe through.
    pub const fn open_for(self) -> Duration {
        Duration::from_secs(match self {
            Self::OpenAi => 60,
            Self::ChromaDb => 30,
            Self::Playwright => 45,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A breaker changed its state: published at once, on the shared event subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    pub dependency: Dependency,
    pub to: State,
    pub failures: u32,
    pub at: Timestamp,
    pub cause: String,
}
