//! Finding tasks: what is asked for, and what is answered, over NATS as over HTTP.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{self, DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::category::known_only;
use super::{Category, FailureCode, Lane, Priority, Status, TaskId, TaskSummary, UnknownName};

/// What a task is doing, as the API calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum TaskState {
    /// Waits for a slot: new, put off, or interrupted by a shutdown.
    Queued,
    /// To be queued later.
    Scheduled,
    Running,
    /// Backs off after a failed attempt.
    Retrying,
    Completed,
    Failed,
    Cancelled,
    Expired,
}

impl TaskState {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Scheduled,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// A task that was put off or interrupted waits to run again, which to a client is the same
    /// as before.
    pub const fn of(status: &Status) -> Self {
        match status {
            Status::Deferred { .. } | Status::Interrupted { .. } => Self::Queued,
            Status::Running { .. } => Self::Running,
            Status::Retrying { .. } => Self::Retrying,
            Status::Completed { .. } => Self::Completed,
            Status::Failed { .. } => Self::Failed,
            Status::Cancelled { .. } => Self::Cancelled,
            Status::Expired { .. } => Self::Expired,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired
        )
    }
}

impl From<TaskState> for &'static str {
    fn from(state: TaskState) -> Self {
        state.name()
    }
}

impl FromStr for TaskState {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| UnknownName {
            what: "state",
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

impl TryFrom<String> for TaskState {
    type Error = UnknownName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

/// Which tasks are meant; what is not given is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskFilter {
    #[serde(skip_serializing_if = "AnyOf::is_any")]
    pub category: AnyOf<Category>,
    #[serde(skip_serializing_if = "AnyOf::is_any")]
    pub priority: AnyOf<Priority>,
    #[serde(skip_serializing_if = "AnyOf::is_any")]
    pub state: AnyOf<TaskState>,
    /// Codes of what went wrong last.
    #[serde(skip_serializing_if = "AnyOf::is_any")]
    pub error_class: AnyOf<FailureCode>,
    /// In the error's message, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Tasks that last changed at this time or later: a finished one ended then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// And before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl TaskFilter {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it asks for what only a task with a failure has.
    pub fn wants_error(&self) -> bool {
        !self.error_class.is_any() || self.text.is_some()
    }

    pub fn takes_lane(&self, lane: Lane) -> bool {
        self.category.takes(&lane.category) && self.priority.takes(&lane.priority)
    }

    pub fn takes_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

/// One of several, or any where none is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AnyOf<T>(Vec<T>);

impl<T> Default for AnyOf<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Vec<T>> for AnyOf<T> {
    fn from(wanted: Vec<T>) -> Self {
        Self(wanted)
    }
}

impl<T: PartialEq> AnyOf<T> {
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    pub fn takes(&self, one: &T) -> bool {
        self.0.is_empty() || self.0.contains(one)
    }

    pub fn named(&self) -> &[T] {
        &self.0
    }
}

/// A name, several with commas between, or a list of names.
impl<'de, T: DeserializeOwned> Deserialize<'de> for AnyOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names<T>(std::marker::PhantomData<T>);

        fn one<T: DeserializeOwned, E: de::Error>(name: &str) -> Result<T, E> {
            let name = serde_json::Value::from(name.trim());
            serde_json::from_value(name).map_err(E::custom)
        }

        impl<'de, T: DeserializeOwned> Visitor<'de> for Names<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or several as a list or with commas between")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                text.split(',').map(one).collect()
            }

            fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Vec<T>, A::Error> {
                let mut wanted = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    wanted.push(one(&name)?);
                }
                Ok(wanted)
            }
        }

        deserializer
            .deserialize_any(Names(std::marker::PhantomData))
            .map(Self)
    }
}

/// A task's place in every listing, which it keeps for all its life: by the time of its
/// submission, and among those of one microsecond by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TaskKey(u128);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cursor: send back the `next` of a page as it came, or none")]
pub struct InvalidCursor(String);

impl TaskKey {
    const DIGITS: usize = 24;
    const TIE_BITS: u32 = 32;

    pub fn of(submitted_at: Timestamp, id: &TaskId) -> Self {
        let micros = u64::try_from(submitted_at.as_microsecond()).unwrap_or(0);
        Self(u128::from(micros) << Self::TIE_BITS | u128::from(hash(id.as_str())))
    }

    /// Before all tasks that were submitted from this time on.
    pub fn first_at(at: Timestamp) -> Self {
        let micros = u64::try_from(at.as_microsecond()).unwrap_or(0);
        Self(u128::from(micros) << Self::TIE_BITS)
    }

    pub fn submitted_at(self) -> Timestamp {
        let micros = i64::try_from(self.0 >> Self::TIE_BITS).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    /// Below 2^96.
    pub fn number(self) -> u128 {
        self.0
    }
}

/// FNV-1a: the same for everybody and for ever, which a cursor has to be.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

impl From<TaskKey> for String {
    fn from(key: TaskKey) -> Self {
        format!("{:0width$x}", key.0, width = TaskKey::DIGITS)
    }
}

impl TryFrom<String> for TaskKey {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_hex = text.len() == Self::DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(&text, 16) {
            Ok(number) if is_hex => Ok(Self(number)),
            _ => Err(InvalidCursor(text)),
        }
    }
}

/// The question, on [`crate::broker::TASKS_REQUEST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskQuery {
    pub filter: TaskFilter,
    /// Tasks in one page; 100 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<TaskKey>,
    /// Whether to count all that match as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub count: bool,
}

impl TaskQuery {
    pub const LIMIT_DEFAULT: usize = 100;
    /// What an answer holds within a message.
    pub const LIMIT_MAX: usize = 500;
}

/// The newest first, by the time of submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskPage {
    #[serde(deserialize_with = "known_only")]
    pub tasks: Vec<FoundTask>,
    /// What to send as `cursor` for what follows; nothing follows where it is missing. A page may
    /// be short, or empty, and still have one: then a part of the search is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<TaskKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    pub index: IndexState,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundTask {
    pub task_id: TaskId,
    pub category: Category,
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// When it last changed: a finished one ended then.
    pub changed_at: Timestamp,
    /// When it will be queued, for a scheduled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Timestamp>,
}

impl FoundTask {
    pub fn key(&self) -> TaskKey {
        TaskKey::of(self.summary.submitted_at, &self.task_id)
    }
}

/// How many match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Matching {
    pub count: u64,
    /// Whether there may be more: among the waiting ones only so many are looked at.
    pub at_least: bool,
}

/// How much of what is recorded the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IndexState {
    /// The last record that is in it, by its sequence in RESULTS.
    pub indexed_up_to: u64,
    /// Records that were stored after that, and may not be in it yet.
    pub lag: u64,
    /// Tasks in it.
    pub indexed: u64,
    /// Older tasks that were left out, as there were more than `stats.tasks_max`.
    pub dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_one_by_one_with_commas_or_as_a_list() {
        for json in [
            r#"{"state":"failed,expired"}"#,
            r#"{"state":["failed","expired"]}"#,
            r#"{"state":"failed, expired","category":null}"#,
        ] {
            let filter: TaskFilter = serde_json::from_str(json).unwrap();
            assert_eq!(
                filter.state.named(),
                [TaskState::Failed, TaskState::Expired]
            );
            let again = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<TaskFilter>(&again).unwrap(), filter);
        }
        let error = serde_json::from_str::<TaskFilter>(r#"{"state":"done"}"#).unwrap_err();
        assert!(error.to_string().contains("queued, scheduled"), "{error}");
        assert!(serde_json::from_str::<TaskFilter>(r#"{"sate":"failed"}"#).is_err());
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let at: Timestamp = "2026-11-24T12:00:00.123456Z".parse().unwrap();
        let key = TaskKey::of(at, &"scrape_1".parse().unwrap());
        let text = String::from(key);
        assert_eq!(TaskKey::try_from(text).unwrap(), key);
        assert_eq!(key.submitted_at(), at);
        assert!(TaskKey::first_at(at) <= key);
        for text in ["", "12", "+00000000000000000000001", &"z".repeat(24)] {
            assert!(TaskKey::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
