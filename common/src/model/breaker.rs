//! Circuit breakers as the fleet talks about them: which dependencies have one, and its states.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownName;

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

impl FromStr for Dependency {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dependency| dependency.name() == name)
            .ok_or_else(|| UnknownName {
                what: "dependency",
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }
}

/// The dependencies that have to work for a task to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    is_needed: [bool; Dependency::ALL.len()],
}

impl Needs {
    pub fn iter(self) -> impl Iterator<Item = Dependency> {
        Dependency::ALL
            .into_iter()
            .filter(move |dependency| self.is_needed[*dependency as usize])
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub fn and(self, others: Self) -> Self {
        self.iter().chain(others.iter()).collect()
    }
}

impl FromIterator<Dependency> for Needs {
    fn from_iter<I: IntoIterator<Item = Dependency>>(dependencies: I) -> Self {
        let mut needs = Self::default();
        for dependency in dependencies {
            needs.is_needed[dependency as usize] = true;
        }
        needs
    }
}

/// As a header has them: `openai, chromadb`.
impl FromStr for Needs {
    type Err = UnknownName;

    fn from_str(names: &str) -> Result<Self, Self::Err> {
        let names = names.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Dependency::name).collect();
        f.write_str(&names.join(", "))
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
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A breaker changed its state: published at once, on the shared event subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BreakerTransition)]
pub struct Transition {
    pub dependency: Dependency,
    pub to: State,
    pub failures: u32,
    pub at: Timestamp,
    pub cause: String,
}

/// A breaker as the whole fleet shares it: one message per dependency, replaced by
/// compare-and-set, so that every transition happens once in the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    pub dependency: Dependency,
    #[serde(flatten)]
    pub stage: Stage,
    /// The failures in a row that opened it; 0 once it has closed.
    pub failures: u32,
    /// When it came into this stage, and why, and the process that saw it.
    pub since: Timestamp,
    pub cause: String,
    pub by: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Stage {
    Closed,
    /// Nothing is let through before `until`.
    Open {
        until: Timestamp,
    },
    /// One probe is under way in the whole fleet; if nothing is heard of it by `until`, its
    /// process is taken for lost, and another one may probe.
    HalfOpen {
        until: Timestamp,
    },
    /// An operator holds it open: nothing is let through until one resets it.
    Held,
}

impl Circuit {
    /// How a breaker stands that has never left its closed state.
    pub const fn untouched(dependency: Dependency) -> Self {
        Self {
            dependency,
            stage: Stage::Closed,
            failures: 0,
            since: Timestamp::UNIX_EPOCH,
            cause: String::new(),
            by: String::new(),
        }
    }

    /// The same as news for the fleet's log.
    pub fn transition(&self) -> Transition {
        Transition {
            dependency: self.dependency,
            to: self.state(),
            failures: self.failures,
            at: self.since,
            cause: self.cause.clone(),
        }
    }

    pub const fn state(&self) -> State {
        match self.stage {
            Stage::Closed => State::Closed,
            Stage::Open { .. } | Stage::Held => State::Open,
            Stage::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_written_as_they_are_read() {
        let needs: Needs = "playwright,openai,".parse().unwrap();
        assert_eq!(needs.to_string(), "openai, playwright");
        assert_eq!(needs.to_string().parse(), Ok(needs));
        assert!("redis".parse::<Needs>().is_err());
        assert!("".parse::<Needs>().unwrap().is_empty());
    }
}
