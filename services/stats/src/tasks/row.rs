//! A finished or running task in as few bytes as it takes to find and list it.

use flotilla_common::broker::RecordHead;
use flotilla_common::model::{
    Category, FoundTask, Lane, Priority, TaskId, TaskKey, TaskState, TaskSummary,
};
use jiff::Timestamp;

use super::names::{Name, Names};

/// An id as it is kept: those that we make take no room of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PackedId {
    Ulid([u8; 16]),
    Sequence(u64),
    Other(Box<str>),
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: PackedId,
    pub(super) revision: u64,
    submitted_us: u64,
    /// Of the key: where it stands among tasks of the same microsecond.
    tie: u32,
    /// After the submission.
    changed_us: u64,
    /// `NOT_RUN`: it has not run to an end.
    ran_us: u64,
    pub(super) brand: Name,
    pub(super) error_class: Name,
    pub(super) error: Name,
    /// When it may run again, in seconds; 0 for whatever does not wait for a time.
    until_s: u32,
    attempt: u16,
    retries: u16,
    category: u8,
    priority: u8,
    state: u8,
}

const NOT_RUN: u64 = u64::MAX;

/// The texts of all rows.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) labels: Names,
    pub(super) errors: Names,
}

impl PackedId {
    pub(super) fn of(category: Category, id: &TaskId) -> Self {
        let text = id.as_str();
        if let Some((of, sequence)) = id.sequence()
            && of == category
            && TaskId::from_sequence(category, sequence) == *id
        {
            return Self::Sequence(sequence);
        }
        let unique = text
            .strip_prefix(category.id_prefix())
            .and_then(|rest| rest.strip_prefix('_'));
        match unique.and_then(ulid_bytes) {
            Some(bytes) => Self::Ulid(bytes),
            None => Self::Other(text.into()),
        }
    }

    pub(super) fn unpack(&self, category: Category) -> Option<TaskId> {
        match self {
            Self::Ulid(bytes) => {
                let unique = ulid::Ulid::from_bytes(*bytes).to_string().to_lowercase();
                format!("{}_{unique}", category.id_prefix()).parse().ok()
            }
            Self::Sequence(sequence) => Some(TaskId::from_sequence(category, *sequence)),
            Self::Other(text) => text.parse().ok(),
        }
    }
}

/// `None` for what would not come back the same.
fn ulid_bytes(text: &str) -> Option<[u8; 16]> {
    let ulid = ulid::Ulid::from_string(text).ok()?;
    let is_same = ulid.to_string().to_lowercase() == text;
    is_same.then(|| ulid.to_bytes())
}

impl Row {
    pub(super) fn of(head: &RecordHead, id: PackedId, texts: &mut Texts) -> Self {
        let summary = &head.summary;
        let key = TaskKey::of(summary.submitted_at, &head.task_id).number();
        let changed = head.stored_at.duration_since(summary.submitted_at);
        let ran = summary.duration_seconds.map(|ran| (ran * 1e6) as u64);
        let class = summary.error_class.as_ref();
        Self {
            id,
            revision: head.revision,
            submitted_us: (key >> 32) as u64,
            tie: key as u32,
            changed_us: u64::try_from(changed.as_micros()).unwrap_or(0),
            ran_us: ran.unwrap_or(NOT_RUN),
            brand: texts.labels.take(summary.brand.as_deref()),
            error_class: texts.labels.take(class.map(|class| class.as_str())),
            error: texts.errors.take(summary.error.as_deref()),
            until_s: summary.until.map_or(0, seconds),
            attempt: u16::try_from(summary.attempt).unwrap_or(u16::MAX),
            retries: u16::try_from(summary.retries).unwrap_or(u16::MAX),
            category: u8::try_from(head.category.index()).unwrap_or(u8::MAX),
            priority: index_of(&Priority::ALL, summary.priority),
            state: index_of(&TaskState::ALL, summary.state),
        }
    }

    pub(super) fn give_back(&self, texts: &mut Texts) {
        texts.labels.give_back(self.brand);
        texts.labels.give_back(self.error_class);
        texts.errors.give_back(self.error);
    }

    /// The task's key, and behind it the row's place.
    pub(super) fn ordered(&self, at: u32) -> u128 {
        u128::from(self.submitted_us) << 64 | u128::from(self.tie) << 32 | u128::from(at)
    }

    pub(super) fn category(&self) -> Category {
        // A place that was handed out is kept for good.
        Category::at(usize::from(self.category)).unwrap_or(Category::Scraping)
    }

    /// Whether it is of one of the lanes: by category a bit for each priority.
    pub(super) fn is_in(&self, lanes: &[u8]) -> bool {
        let priorities = lanes.get(usize::from(self.category));
        priorities.is_some_and(|priorities| priorities & (1 << self.priority) != 0)
    }

    pub(super) fn state_bit(&self) -> u8 {
        1 << self.state
    }

    pub(super) fn lane(&self) -> Lane {
        Lane {
            category: self.category(),
            priority: Priority::ALL[usize::from(self.priority)],
        }
    }

    /// The time that it waits for, where it waits for one.
    pub(super) fn until(&self) -> Option<Timestamp> {
        let seconds = Some(self.until_s).filter(|seconds| *seconds > 0)?;
        Timestamp::from_second(i64::from(seconds)).ok()
    }

    pub(super) fn state(&self) -> TaskState {
        TaskState::ALL[usize::from(self.state)]
    }

    /// Since 1970.
    pub(super) fn changed_us(&self) -> u64 {
        self.submitted_us.saturating_add(self.changed_us)
    }

    pub(super) fn found(&self, texts: &Texts) -> Option<FoundTask> {
        let submitted_at = at(self.submitted_us)?;
        let label = |name| texts.labels.text(name).map(str::to_owned);
        Some(FoundTask {
            task_id: self.id.unpack(self.category())?,
            category: self.category(),
            summary: TaskSummary {
                state: self.state(),
                priority: self.lane().priority,
                submitted_at,
                until: self.until(),
                duration_seconds: (self.ran_us != NOT_RUN).then(|| self.ran_us as f64 / 1e6),
                attempt: u32::from(self.attempt),
                retries: u32::from(self.retries),
                brand: label(self.brand),
                error_class: label(self.error_class).map(Into::into),
                error: texts.errors.text(self.error).map(str::to_owned),
            },
            changed_at: at(self.changed_us())?,
            run_at: None,
        })
    }
}

fn at(micros: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()
}

/// Rounded up: it does not run before.
fn seconds(at: Timestamp) -> u32 {
    let seconds = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

fn index_of<T: PartialEq, const N: usize>(all: &[T; N], one: T) -> u8 {
    let index = all.iter().position(|other| *other == one);
    index
        .and_then(|index| u8::try_from(index).ok())
        .unwrap_or(0)
}

pub(super) fn bit_of<T: PartialEq, const N: usize>(all: &[T; N], one: T) -> u8 {
    1 << index_of(all, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were() {
        let ids = [
            TaskId::generate(Category::Scraping),
            TaskId::from_sequence(Category::Scraping, 1_764_000_000_000_000),
            TaskId::from_key(Category::Scraping, "k"),
            "scrape_007".parse().unwrap(),
            "query_17".parse().unwrap(),
            "order-17".parse().unwrap(),
            "scrape_01KAZ0000000000000000000zz".parse().unwrap(),
        ];
        for id in ids {
            let packed = PackedId::of(Category::Scraping, &id);
            assert_eq!(packed.unpack(Category::Scraping), Some(id));
        }
        assert!(size_of::<Row>() <= 96, "{}", size_of::<Row>());
    }
}
