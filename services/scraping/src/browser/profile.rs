//! The directory that a launched browser writes to. It is removed when it is dropped; what was
//! left by a process that was killed goes when the next browser is launched. Each has a lock
//! that its owner holds, and that ends with its owner, however that ended: a process id may be
//! another's by then, or of another container.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "flotilla-browser-";
const LOCK: &str = "owner.lock";

#[derive(Debug)]
pub(super) struct Profile {
    directory: TempDir,
    _lock: File,
}

impl Profile {
    /// Removes what others have left under `parent`, and makes one of our own.
    pub(super) fn new_in(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Under its name once it is held: what has no lock yet is left alone.
        let unnamed = directory.path().join("new.lock");
        let lock = File::create_new(&unnamed)?;
        lock.try_lock()?;
        std::fs::rename(unnamed, directory.path().join(LOCK))?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Tidying up: what cannot be removed is tried again with the next browser.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let Ok(lock) = File::open(path.join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok()
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::debug!(%error, path = %path.display(), "a browser's old profile stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// What another test starts as a program meanwhile holds all our locks until it is that
    /// program: as a browser after the next would, this tries again.
    fn next_in(parent: &Path, left: &Path) -> Profile {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            let next = Profile::new_in(parent).unwrap();
            if !left.exists() || Instant::now() > give_up {
                return next;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_have_stays() {
        let parent = TempDir::new().unwrap();
        let living = Profile::new_in(parent.path()).unwrap();
        std::fs::write(living.path().join("Cookies"), "x").unwrap();
        // As `kill -9` leaves it: the directory is there, and nobody holds its lock.
        let dead = Profile::new_in(parent.path()).unwrap();
        let left = dead.directory.keep();
        drop(dead._lock);
        let unlocked = parent.path().join("flotilla-browser-being-made");
        let others = parent.path().join("other");
        for directory in [&unlocked, &others] {
            std::fs::create_dir(directory).unwrap();
        }
        let next = next_in(parent.path(), &left);
        assert!(!left.exists());
        for directory in [living.path(), next.path(), &unlocked, &others] {
            assert!(directory.exists(), "{}", directory.display());
        }
    }
}
