//! Texts that many tasks share, kept once: brands, classes and messages of errors.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Stands for a text; 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Name(u32);

impl Name {
    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

struct Entry {
    text: Box<str>,
    uses: u32,
}

pub(super) struct Names {
    /// The first is no text.
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

impl Default for Names {
    fn default() -> Self {
        let none = Entry {
            text: Box::default(),
            uses: 1,
        };
        Self {
            entries: vec![none],
            free: Vec::new(),
            by_text: HashTable::new(),
            hasher: RandomState::new(),
        }
    }
}

impl Names {
    /// The name of a text, which is used once more.
    pub(super) fn take(&mut self, text: Option<&str>) -> Name {
        let Some(text) = text else {
            return Name::default();
        };
        if let Some(name) = self.find(text) {
            self.entries[name.index()].uses += 1;
            return name;
        }
        let entry = Entry {
            text: text.into(),
            uses: 1,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let Self {
            entries,
            by_text,
            hasher,
            ..
        } = self;
        let hash = |text: &str| hasher.hash_one(text);
        by_text.insert_unique(hash(text), at, |at| hash(&entries[*at as usize].text));
        Name(at)
    }

    /// The name is used once less; a text that nobody uses is forgotten.
    pub(super) fn give_back(&mut self, name: Name) {
        if name.is_none() {
            return;
        }
        let entry = &mut self.entries[name.index()];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*entry.text);
        if let Ok(found) = self.by_text.find_entry(hash, |at| *at == name.0) {
            found.remove();
        }
        self.entries[name.index()].text = Box::default();
        self.free.push(name.0);
    }

    pub(super) fn find(&self, text: &str) -> Option<Name> {
        let is_it = |at: &u32| &*self.entries[*at as usize].text == text;
        let found = self.by_text.find(self.hasher.hash_one(text), is_it);
        found.map(|at| Name(*at))
    }

    pub(super) fn text(&self, name: Name) -> Option<&str> {
        (!name.is_none()).then(|| &*self.entries[name.index()].text)
    }

    /// One more than the largest index.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_for_as_long_as_it_is_used() {
        let mut names = Names::default();
        let first = names.take(Some("a"));
        assert_eq!(names.take(Some("a")), first);
        let other = names.take(Some("b"));
        assert_eq!(
            (names.text(first), names.text(other)),
            (Some("a"), Some("b"))
        );
        assert_eq!(names.take(None), Name::default());
        names.give_back(first);
        assert_eq!(names.find("a"), Some(first));
        names.give_back(first);
        assert_eq!(names.find("a"), None);
        assert_eq!(names.take(Some("c")), first, "its place is used again");
        assert_eq!(names.find("b"), Some(other));
        assert_eq!(names.len(), 3);
    }
}
