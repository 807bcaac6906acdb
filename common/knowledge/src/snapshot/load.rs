//! Reads a snapshot: one thread reads and hashes, as many as there are cores count words, and one
//! puts the documents into an index, which nobody sees before the last line was right.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_common::broker::LastDocument;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{FORMAT, Header, Seal, file};
use crate::index::{Held, Index, Kind, Prepared, Terms};

/// Far above the longest document.
const LINE_BYTES_MAX: u64 = 1 << 28;
/// Lines that wait for a thread, and documents that wait for the index.
const QUEUE: usize = 64;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is broken: {0}")]
    Broken(&'static str),
    #[error("it is of format {0}, and this program writes {FORMAT}")]
    Format(u32),
    #[error("it is of an index of another kind ({0:?})")]
    Kind(Kind),
    #[error("it is of another log of documents than there is now")]
    Log,
    #[error("it ends at change {0}, from where the log no longer goes on")]
    TooOld(u64),
}

/// The index of a directory's snapshot, and the change up to which it goes; `None` where there is
/// no snapshot. `last` is the end of the log that it is to be continued by.
pub(crate) fn load(
    directory: &Path,
    kind: &Kind,
    last: &LastDocument,
) -> Result<Option<(Index, u64)>, Unusable> {
    let file = match File::open(file(directory)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut lines = Lines::of(BufReader::with_capacity(1 << 18, file));
    let first = lines.next()?.ok_or(Unusable::Broken("it is empty"))?;
    let applied = check(&first, kind, last)?;
    let index = read(lines, kind)?;
    Ok(Some((index, applied)))
}

fn check(line: &[u8], kind: &Kind, last: &LastDocument) -> Result<u64, Unusable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let broken = |_| Unusable::Broken("its first line is no header");
    let Format { format } = serde_json::from_slice(line).map_err(broken)?;
    if format != FORMAT {
        return Err(Unusable::Format(format));
    }
    let header: Header = serde_json::from_slice(line).map_err(broken)?;
    if header.kind != *kind {
        return Err(Unusable::Kind(header.kind));
    }
    if header.log != last.created {
        return Err(Unusable::Log);
    }
    match last.continues(header.applied) {
        true => Ok(header.applied),
        false => Err(Unusable::TooOld(header.applied)),
    }
}

fn read(lines: Lines, kind: &Kind) -> Result<Index, Unusable> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (line, waiting) = sync_channel(QUEUE);
    let (document, prepared) = sync_channel(QUEUE);
    // Only the threads have it: when all of them have ended, so does who reads.
    let waiting = Arc::new(Mutex::new(waiting));
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || lines.send_to(&line));
        for _ in 0..threads {
            let (waiting, document) = (Arc::clone(&waiting), document.clone());
            scope.spawn(move || prepare(&waiting, &document));
        }
        // Only theirs are left: the last one ends the loop below.
        drop((waiting, document));
        let mut index = Index::of(kind.clone());
        let put = put_all(&mut index, &prepared);
        // Whoever still sends hears that it is over.
        drop(prepared);
        let read = reading.join();
        read.map_err(|_| Unusable::Broken("reading it has failed"))??;
        put.map(|()| index)
    })
}

fn put_all(
    index: &mut Index,
    prepared: &Receiver<serde_json::Result<Prepared>>,
) -> Result<(), Unusable> {
    for prepared in prepared {
        let prepared = prepared.map_err(|_| Unusable::Broken("a line is no document"))?;
        // Each document once, so that nothing leaves.
        index.exchange(prepared, Terms::default());
    }
    Ok(())
}

fn prepare(
    waiting: &Mutex<Receiver<Vec<u8>>>,
    document: &SyncSender<serde_json::Result<Prepared>>,
) {
    loop {
        let line = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(line) = line else { return };
        let held = serde_json::from_slice::<Held>(&line);
        if document.send(held.map(Prepared::from)).is_err() {
            return;
        }
    }
}

/// The lines of a snapshot; the last one, which is none of a document, is checked.
struct Lines {
    file: BufReader<File>,
    hash: Sha256,
    /// The next line: whether it is the last one is known when there is no other.
    ahead: Vec<u8>,
    is_begun: bool,
}

impl Lines {
    fn of(file: BufReader<File>) -> Self {
        Self {
            file,
            hash: Sha256::new(),
            ahead: Vec::new(),
            is_begun: false,
        }
    }

    /// `None` at the end, where all before it was as it was written.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Unusable> {
        if !self.is_begun {
            self.ahead = self.read_line()?;
            self.is_begun = true;
        }
        let after = self.read_line()?;
        let line = std::mem::replace(&mut self.ahead, after);
        if self.ahead.is_empty() {
            self.check_seal(&line)?;
            return Ok(None);
        }
        self.hash.update(&line);
        Ok(Some(line))
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut file = (&mut self.file).take(LINE_BYTES_MAX);
        file.read_until(b'\n', &mut line)?;
        Ok(line)
    }

    fn check_seal(&mut self, line: &[u8]) -> Result<(), Unusable> {
        let seal = serde_json::from_slice::<Seal>(line);
        let seal = seal.map_err(|_| Unusable::Broken("its end is missing"))?;
        let hash = format!("{:x}", std::mem::take(&mut self.hash).finalize());
        match seal.sha256 == hash {
            true => Ok(()),
            false => Err(Unusable::Broken(
                "its content is not what its last line says",
            )),
        }
    }

    /// Until the end, or nobody wants more.
    fn send_to(mut self, document: &SyncSender<Vec<u8>>) -> Result<(), Unusable> {
        while let Some(line) = self.next()? {
            if document.send(line).is_err() {
                break;
            }
        }
        Ok(())
    }
}
