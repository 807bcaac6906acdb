//! All tasks that have a record, in memory: rows of under a hundred bytes, found by id when a
//! record is replaced, and walked from the newest submission on when somebody looks for tasks.
//! Pure: the follower feeds it, and it can be made anew from the stored records at any time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use flotilla_common::broker::RecordHead;
use flotilla_common::model::{Category, FoundTask, Lane, TaskFilter, TaskId, TaskKey};
use hashbrown::HashTable;
use jiff::Timestamp;

use super::matcher::Matcher;
use super::row::{PackedId, Row, Texts};
use super::waits::{Waiting, Waits};

pub(crate) struct Index {
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
    /// Key and place, in one number.
    by_key: BTreeSet<u128>,
    /// Revision and place, oldest first; those of replaced records are passed over.
    by_revision: VecDeque<(u64, u32)>,
    texts: Texts,
    waits: Waits,
    hasher: RandomState,
    tasks_max: usize,
    applied: u64,
    dropped: u64,
}

/// The rows that a search has found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) tasks: Vec<FoundTask>,
    /// Whether older ones were not looked at, as there are enough.
    pub(crate) is_cut: bool,
    /// All that match, where that was asked.
    pub(crate) count: u64,
}

impl Index {
    pub(crate) fn new(tasks_max: usize) -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            by_id: HashTable::new(),
            by_key: BTreeSet::new(),
            by_revision: VecDeque::new(),
            texts: Texts::default(),
            waits: Waits::default(),
            hasher: RandomState::new(),
            tasks_max,
            applied: 0,
            dropped: 0,
        }
    }

    /// The last sequence that is in here.
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Tasks that were left out, as there were too many.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tasks of each queue that wait for a time.
    pub(crate) fn waiting(&mut self, now: Timestamp) -> BTreeMap<Lane, Waiting> {
        self.waits.at(now)
    }

    /// Says that all up to a sequence is in here.
    pub(crate) fn reached(&mut self, sequence: u64) {
        self.applied = self.applied.max(sequence);
    }

    /// Takes in the record that was written next.
    pub(crate) fn apply(&mut self, head: &RecordHead) {
        if head.revision <= self.applied {
            return;
        }
        self.applied = head.revision;
        let id = PackedId::of(head.category, &head.task_id);
        if let Some(at) = self.place_of(head.category, &id) {
            self.remove(at);
        }
        let row = Row::of(head, id, &mut self.texts);
        self.insert(row);
        while self.len() > self.tasks_max {
            self.drop_oldest();
        }
    }

    /// Forgets what the stream has no more: all before its first sequence.
    pub(crate) fn forget_before(&mut self, first: u64) {
        while let Some((revision, at)) = self.by_revision.front().copied() {
            if revision >= first {
                break;
            }
            self.by_revision.pop_front();
            self.remove_revision(at, revision);
        }
    }

    pub(crate) fn knows(&self, category: Category, id: &TaskId) -> bool {
        self.place_of(category, &PackedId::of(category, id))
            .is_some()
    }

    /// The newest that match, from below a key on.
    pub(crate) fn find(
        &self,
        filter: &TaskFilter,
        below: Option<TaskKey>,
        limit: usize,
        count_all: bool,
    ) -> Found {
        let mut found = Found::default();
        let Some(mut matcher) = Matcher::of(filter, &self.texts) else {
            return found;
        };
        let end = below.map_or(u128::MAX, |key| key.number() << 32);
        for ordered in self.by_key.range(..end).rev() {
            let row = self.rows[place(*ordered)].as_ref();
            let Some(row) = row.filter(|row| matcher.takes(row)) else {
                continue;
            };
            if found.tasks.len() < limit {
                found.tasks.extend(row.found(&self.texts));
            } else {
                found.is_cut = true;
                if !count_all {
                    break;
                }
            }
            found.count += 1;
        }
        found
    }

    fn insert(&mut self, row: Row) {
        let hash = self.hash(row.category(), &row.id);
        let at = self.free.pop();
        let at = at.unwrap_or_else(|| {
            self.rows.push(None);
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_key.insert(row.ordered(at));
        self.by_revision.push_back((row.revision, at));
        if let Some(until) = row.until() {
            self.waits.insert(row.lane(), until, at);
        }
        self.rows[at as usize] = Some(row);
        let Self {
            by_id,
            rows,
            hasher,
            ..
        } = self;
        by_id.insert_unique(hash, at, |at| {
            let row = rows[*at as usize].as_ref();
            row.map_or(0, |row| hasher.hash_one((row.category(), &row.id)))
        });
        // Replaced records leave their places in the queue behind.
        if self.by_revision.len() > 2 * self.rows.len() + 1_024 {
            let rows = &self.rows;
            self.by_revision.retain(|(revision, at)| {
                let row = rows[*at as usize].as_ref();
                row.is_some_and(|row| row.revision == *revision)
            });
        }
    }

    fn remove(&mut self, at: u32) {
        let Some(row) = self.rows[at as usize].take() else {
            return;
        };
        let hash = self.hash(row.category(), &row.id);
        if let Ok(entry) = self.by_id.find_entry(hash, |other| *other == at) {
            entry.remove();
        }
        self.by_key.remove(&row.ordered(at));
        if let Some(until) = row.until() {
            self.waits.remove(row.lane(), until, at);
        }
        row.give_back(&mut self.texts);
        self.free.push(at);
    }

    fn remove_revision(&mut self, at: u32, revision: u64) -> bool {
        let row = self.rows[at as usize].as_ref();
        let is_it = row.is_some_and(|row| row.revision == revision);
        if is_it {
            self.remove(at);
        }
        is_it
    }

    fn drop_oldest(&mut self) {
        while let Some((revision, at)) = self.by_revision.pop_front() {
            if self.remove_revision(at, revision) {
                self.dropped += 1;
                return;
            }
        }
    }

    fn place_of(&self, category: Category, id: &PackedId) -> Option<u32> {
        let is_it = |at: &u32| {
            let row = self.rows[*at as usize].as_ref();
            row.is_some_and(|row| row.category() == category && row.id == *id)
        };
        self.by_id.find(self.hash(category, id), is_it).copied()
    }

    fn hash(&self, category: Category, id: &PackedId) -> u64 {
        self.hasher.hash_one((category, id))
    }
}

/// What stands behind the key.
fn place(ordered: u128) -> usize {
    (ordered as u32) as usize
}
