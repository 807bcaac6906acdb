//! The rules of the sites asked lately, bounded in number and age.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::Rules;

/// RFC 9309 allows a day; an hour lets a site's change of mind arrive soon.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
const ORIGINS_MAX: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    rules: Arc<OnceCell<Rules>>,
}

impl Cache {
    /// The cell for an origin; empty when its file has not been read, or too long ago.
    pub(super) fn entry(&self, origin: &str, now: Instant) -> Arc<OnceCell<Rules>> {
        // No code panics while it holds the lock, and each entry is whole by itself.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries.get(origin);
        if let Some(entry) = known.filter(|entry| now.duration_since(entry.since) < AGE_MAX) {
            return Arc::clone(&entry.rules);
        }
        make_room(&mut entries, now);
        let rules = Arc::new(OnceCell::new());
        let entry = Entry {
            since: now,
            rules: Arc::clone(&rules),
        };
        entries.insert(origin.to_owned(), entry);
        rules
    }
}

fn make_room(entries: &mut HashMap<String, Entry>, now: Instant) {
    if entries.len() < ORIGINS_MAX {
        return;
    }
    entries.retain(|_, entry| now.duration_since(entry.since) < AGE_MAX);
    if entries.len() < ORIGINS_MAX {
        return;
    }
    let oldest = entries.iter().min_by_key(|(_, entry)| entry.since);
    if let Some(oldest) = oldest.map(|(origin, _)| origin.clone()) {
        entries.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shared_until_they_are_old() {
        let (cache, now) = (Cache::default(), Instant::now());
        let first = cache.entry("https://a", now);
        assert!(Arc::ptr_eq(
            &first,
            &cache.entry("https://a", now + AGE_MAX / 2)
        ));
        assert!(!Arc::ptr_eq(&first, &cache.entry("http://a", now)));
        assert!(!Arc::ptr_eq(
            &first,
            &cache.entry("https://a", now + AGE_MAX)
        ));
    }

    #[test]
    fn the_oldest_leaves_when_it_is_full() {
        let (cache, now) = (Cache::default(), Instant::now());
        let first = cache.entry("0", now);
        for origin in 1..=ORIGINS_MAX {
            cache.entry(
                &origin.to_string(),
                now + Duration::from_millis(origin as u64),
            );
        }
        assert_eq!(cache.entries.lock().unwrap().len(), ORIGINS_MAX);
        assert!(!Arc::ptr_eq(&first, &cache.entry("0", now)));
    }
}
