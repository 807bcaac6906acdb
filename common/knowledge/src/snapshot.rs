//! An index in a file, so that a process that starts replays only what came after it.
//!
//! Lines of JSON: a header, a line for each document, and last the SHA-256 of all lines before.
//! A file appears whole, by a rename, and whoever renames last has the last word: processes that
//! share a directory overwrite each other's files, and mix nothing. What is read is used only
//! where all of it is as it was written, and the log goes on from where it ends.

mod load;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::index::{Held, Kind};

pub(crate) use self::load::load;

/// To be raised when lines are to be read in another way.
const FORMAT: u32 = 1;
const FILE: &str = "documents.index";
const DRAFT: &str = ".draft";
/// A draft that was not written to for so long is nobody's any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: u32,
    #[serde(flatten)]
    pub(crate) kind: Kind,
    /// When the log of the documents was created: another one counts its changes anew.
    pub(crate) log: Timestamp,
    /// All changes up to this one are in it; of later ones some may be.
    pub(crate) applied: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    sha256: String,
}

impl Header {
    pub(crate) fn new(kind: Kind, log: Timestamp, applied: u64) -> Self {
        Self {
            format: FORMAT,
            kind,
            log,
            applied,
        }
    }
}

pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// A snapshot that is being written, beside the one that there is.
#[derive(Debug)]
pub(crate) struct Draft {
    directory: PathBuf,
    path: PathBuf,
    out: BufWriter<File>,
    hash: Sha256,
    line: Vec<u8>,
}

impl Draft {
    pub(crate) fn begin(directory: &Path, header: &Header) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        sweep(directory);
        let path = directory.join(draft_name());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Documents may be confidential.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut draft = Self {
            out: BufWriter::with_capacity(1 << 18, options.open(&path)?),
            directory: directory.to_owned(),
            path,
            hash: Sha256::new(),
            line: Vec::new(),
        };
        draft.add_line(header)?;
        Ok(draft)
    }

    pub(crate) fn add(&mut self, held: &Held) -> io::Result<()> {
        self.add_line(held)
    }

    fn add_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.out.write_all(&self.line)
    }

    /// Puts it in the place of the one before.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let sha256 = format!("{:x}", std::mem::take(&mut self.hash).finalize());
        self.add_line(&Seal { sha256 })?;
        self.out.flush()?;
        // On the disk before the name is: a power cut must not leave the name of half a file.
        self.out.get_ref().sync_all()?;
        std::fs::rename(&self.path, file(&self.directory))?;
        #[cfg(unix)]
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }
}

/// One that was not finished is of no use to anybody.
impl Drop for Draft {
    fn drop(&mut self) {
        // After a finish the name is gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// No other process's, and no other thread's.
fn draft_name() -> String {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let (process, now) = (std::process::id(), Timestamp::now().as_nanosecond());
    format!("{FILE}.{process}-{now}-{number}{DRAFT}")
}

/// Removes what processes that were killed have left.
fn sweep(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let is_draft =
            name.to_string_lossy().starts_with(FILE) && name.to_string_lossy().ends_with(DRAFT);
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED_AFTER));
        if is_draft && is_old {
            // Somebody else may have come first; the next one tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
