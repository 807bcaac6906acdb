//! Task ids: one subject token, chosen by the submitter, by the gateway, or derived from the PubAck.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Category;

/// A schedule is named by the same rules as a task.
pub type ScheduleId = TaskId;

/// 1 to 128 characters of `A–Z a–z 0–9 _ -`: valid as a NATS subject token and in a URL path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TaskId(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task id {0:?} is not valid: use 1 to 128 characters of A-Z a-z 0-9 _ -")]
pub struct InvalidTaskId(String);

impl TaskId {
    const CHARS_MAX: usize = 128;

    /// A new id that sorts by time, and after all others of this process: `scrape_01kaz…`.
    pub fn generate(category: Category) -> Self {
        Self([category.id_prefix(), "_", &unique()].concat())
    }

    /// The same for whoever knows no more than how it is to begin.
    pub fn generate_as(prefix: &str) -> Result<Self, InvalidTaskId> {
        format!("{prefix}_{}", unique()).try_into()
    }

    /// The id of a task published without one: `<prefix>_<stream sequence>`, which the
    /// publisher can compute from its PubAck. Sequences never repeat, even when a stream is
    /// deleted and made anew, because a stream's first sequence is the time of its creation.
    pub fn from_sequence(category: Category, sequence: u64) -> Self {
        Self(format!("{}_{sequence}", category.id_prefix()))
    }

    /// The id of the second life of a task, by the sequence of its dead letter.
    pub fn again(category: Category, letter: u64) -> Self {
        Self(format!("{}_again-{letter}", category.id_prefix()))
    }

    /// The id of every task that is submitted to a category under an idempotency key:
    /// `<prefix>_key-<the first 32 hex digits of the key's SHA-256>`.
    pub fn from_key(category: Category, key: &str) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let half = digest.iter().take(16);
        let hex: String = half.map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{}_key-{hex}", category.id_prefix()))
    }

    /// The category and stream sequence of an id made by [`TaskId::from_sequence`].
    pub fn sequence(&self) -> Option<(Category, u64)> {
        let (prefix, rest) = self.0.rsplit_once('_')?;
        Some((Category::of_prefix(prefix)?, rest.parse().ok()?))
    }

    /// Where a task of this id most likely is: ids that we make tell their category. An id
    /// that a submitter chose may look the same, and be anywhere.
    pub fn likely_category(&self) -> Option<Category> {
        // A prefix may have the sign in it that ends it: the longest one counts.
        let ends = self.0.rmatch_indices('_').map(|(end, _)| end);
        ends.map(|end| &self.0[..end]).find_map(Category::of_prefix)
    }

    /// Whether the id has the form of those made of sequences, which nobody else may use:
    /// the next task published without an id could get the same one.
    pub fn is_reserved(&self) -> bool {
        self.sequence().is_some()
    }

    /// Whether a message of this id that was stored then is the first: nobody else can have thought of
    /// the id, as it is made of a sequence, or of a time and 80 random bits, and it is not older
    /// than what the broker itself tells from a repetition. Any other id may have been submitted before.
    pub fn is_new_at(&self, stored_at: Timestamp, duplicate_window: Duration) -> bool {
        self.is_reserved()
            || self.generated_at().is_some_and(|made_at| {
                stored_at.duration_since(made_at).unsigned_abs() < duplicate_window
            })
    }

    /// The time that a generated id is made of.
    fn generated_at(&self) -> Option<Timestamp> {
        let (_, unique) = self.0.rsplit_once('_')?;
        if unique.len() != ulid::ULID_LEN {
            return None;
        }
        let made_at = ulid::Ulid::from_string(unique).ok()?.timestamp_ms();
        Timestamp::from_millisecond(made_at.try_into().ok()?).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A time, and 80 bits, which are random for the first id of a millisecond, and count up from there: the
/// server keeps the subjects of all tasks in a tree, where neighbours cost less than scattered ones.
fn unique() -> String {
    static GENERATOR: Mutex<ulid::Generator> = Mutex::new(ulid::Generator::new());
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let ulid = match generator.generate() {
        Ok(ulid) => ulid,
        Err(overflow) => overflow.commit_overflow_increment(),
    };
    drop(generator);
    let mut text = ulid.to_string();
    text.make_ascii_lowercase();
    text
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for TaskId {
    type Error = InvalidTaskId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_valid = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if (1..=Self::CHARS_MAX).contains(&text.len()) && text.bytes().all(is_valid) {
            Ok(Self(text))
        } else {
            Err(InvalidTaskId(text))
        }
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_tell_their_category() {
        for category in Category::all() {
            let id = TaskId::generate(category);
            assert_eq!(id.likely_category(), Some(category));
            assert!(!id.is_reserved());
            let id = TaskId::from_sequence(category, 1_764_000_000_000_000);
            assert_eq!(id.sequence(), Some((category, 1_764_000_000_000_000)));
            assert!(id.is_reserved());
        }
    }

    #[test]
    fn a_key_makes_one_id() {
        let id = TaskId::from_key(Category::Query, "order 17");
        // printf 'order 17' | sha256sum
        assert_eq!(id.as_str(), "query_key-0bcc920e3938c1b86e3483fc9888c6d6");
        assert!(!id.is_reserved());
        assert_eq!(id.likely_category(), Some(Category::Query));
        assert_ne!(id, TaskId::from_key(Category::Query, "order 18"));
    }

    #[test]
    fn chosen_ids_tell_nothing() {
        let id: TaskId = "order-17".parse().unwrap();
        assert_eq!((id.likely_category(), id.is_reserved()), (None, false));
    }

    #[test]
    fn generated_ids_sort_by_when_they_were_made() {
        let ids: Vec<TaskId> = (0..1_000)
            .map(|_| TaskId::generate(Category::Query))
            .collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn only_a_fresh_generated_id_has_not_been_there_before() {
        let (window, now) = (Duration::from_secs(120), Timestamp::now());
        let later = now + Duration::from_secs(121);
        let is_new = |id: &str, at| id.parse::<TaskId>().unwrap().is_new_at(at, window);
        for category in Category::all() {
            let generated = TaskId::generate(category).to_string();
            assert!(is_new(&generated, now) && !is_new(&generated, later));
            let reserved = TaskId::from_sequence(category, 1_764_000_000_000_000);
            assert!(reserved.is_new_at(later, window));
        }
        let key = TaskId::from_key(Category::Query, "order 17");
        for chosen in [key.as_str(), "order-17", "order_17"] {
            assert!(!is_new(chosen, now), "{chosen}");
        }
    }

    #[test]
    fn what_is_not_a_subject_token_is_refused() {
        for text in ["", "a.b", "a b", "*", ">", "ü", &"x".repeat(129)] {
            assert!(text.parse::<TaskId>().is_err(), "{text:?}");
        }
    }
}
