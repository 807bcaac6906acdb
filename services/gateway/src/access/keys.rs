//! API keys as they are kept: a name, a hash, and what it allows. They are in a file and not
//! in the broker: a file is there before the first start and is mounted like any other secret,
//! and nobody who may publish to the broker can give itself a key.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
pub use flotilla_common::model::Scope;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

/// What scanners for leaked secrets look for.
const PREFIX: &str = "flotilla_";
/// Nobody guesses this many random bytes, so that a plain hash is enough to keep them by.
const SECRET_BYTES: usize = 32;
const NAME_CHARS_MAX: usize = 64;
/// Every request is compared with all of them.
const KEYS_MAX: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot read the keys in {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the keys in {} cannot be understood; make them with `flotilla keys`", path.display())]
    Syntax {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("cannot write the keys to {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{name:?} is no name for a key: use 1 to {NAME_CHARS_MAX} characters of A-Z a-z 0-9 . _ -"
    )]
    Name { name: String },
    #[error("there is a key named {name:?} already; rotate it, or choose another name")]
    Taken { name: String },
    #[error("there is no valid key named {name:?}")]
    Unknown { name: String },
    #[error("there are {KEYS_MAX} keys already; revoke some that nobody uses")]
    TooMany,
    #[error("the system has no randomness to make a key of: {0}")]
    Randomness(getrandom::Error),
}

/// A SHA-256, as hexadecimal digits where it is written down.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    fn of(secret: &str) -> Self {
        Self(sha2::Sha256::digest(secret.as_bytes()).into())
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut hash = [0; 32];
        if text.len() != 2 * hash.len() || !text.is_ascii() {
            return Err("sha256 has 64 hexadecimal digits");
        }
        for (index, byte) in hash.iter_mut().enumerate() {
            let digits = &text[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| "sha256: not hexadecimal")?;
        }
        Ok(Self(hash))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}…", self.0[0], self.0[1])
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub name: String,
    pub sha256: Hash,
    pub scopes: BTreeSet<Scope>,
    pub created_at: Timestamp,
    /// From then on it opens nothing; a key that was rotated has such a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Where not as the gateway's settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Its submissions are refused while more tasks than this wait in the category, whoever's
    /// they are: what is left of the queue is for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_max: Option<u64>,
}

impl Key {
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// The keys of one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub keys: Vec<Key>,
}

impl Keys {
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        let path_buf = || path.to_owned();
        let text = fs::read(path).map_err(|source| KeysError::Read {
            path: path_buf(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|source| KeysError::Syntax {
            path: path_buf(),
            source,
        })
    }

    /// The same; none where there is no file yet.
    pub fn read_or_new(path: &Path) -> Result<Self, KeysError> {
        match Self::read(path) {
            Err(KeysError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            read => read,
        }
    }

    /// Whole or not at all: a gateway may be reading it.
    pub fn write(&self, path: &Path) -> Result<(), KeysError> {
        let failed = |source| KeysError::Write {
            path: path.to_owned(),
            source,
        };
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| failed(e.into()))?;
        text.push(b'\n');
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&beside).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, path)
        });
        written.map_err(|source| {
            let _ = fs::remove_file(&beside);
            failed(source)
        })
    }

    /// The key that this secret is, where it is one that is valid.
    pub fn find(&self, secret: &str, now: Timestamp) -> Option<&Key> {
        let presented = Hash::of(secret);
        let mut found = None;
        // All of them, whichever it is: the time that it takes tells nothing.
        for key in &self.keys {
            if bool::from(key.sha256.0.ct_eq(&presented.0)) {
                found = Some(key);
            }
        }
        found.filter(|key| key.is_valid(now))
    }

    /// Adds a key of this name; the answer is its secret, which is kept nowhere.
    pub fn add(
        &mut self,
        name: &str,
        scopes: BTreeSet<Scope>,
        now: Timestamp,
    ) -> Result<(String, &mut Key), KeysError> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(is_name) {
            let name = name.to_owned();
            return Err(KeysError::Name { name });
        }
        if self.valid(name, now).next().is_some() {
            let name = name.to_owned();
            return Err(KeysError::Taken { name });
        }
        self.push(Key {
            name: name.to_owned(),
            sha256: Hash([0; 32]),
            scopes,
            created_at: now,
            expires_at: None,
            requests_per_second: None,
            backlog_max: None,
        })
    }

    /// A new secret for the name. The old one goes on to open until `old_until`.
    pub fn rotate(
        &mut self,
        name: &str,
        now: Timestamp,
        old_until: Timestamp,
    ) -> Result<String, KeysError> {
        let latest = self.valid(name, now).max_by_key(|key| key.created_at);
        let mut next = latest.cloned().ok_or_else(|| KeysError::Unknown {
            name: name.to_owned(),
        })?;
        for old in self.keys.iter_mut().filter(|key| key.name == name) {
            old.expires_at = Some(old.expires_at.map_or(old_until, |at| at.min(old_until)));
        }
        next.created_at = now;
        self.push(next).map(|(secret, _)| secret)
    }

    /// Removes all keys of the name.
    pub fn revoke(&mut self, name: &str) -> Result<(), KeysError> {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        if self.keys.len() == before {
            let name = name.to_owned();
            return Err(KeysError::Unknown { name });
        }
        Ok(())
    }

    fn valid(&self, name: &str, now: Timestamp) -> impl Iterator<Item = &Key> {
        let keys = self.keys.iter();
        keys.filter(move |key| key.name == name && key.is_valid(now))
    }

    fn push(&mut self, key: Key) -> Result<(String, &mut Key), KeysError> {
        let now = key.created_at;
        self.keys.retain(|key| key.is_valid(now));
        if self.keys.len() >= KEYS_MAX {
            return Err(KeysError::TooMany);
        }
        let mut random = [0; SECRET_BYTES];
        getrandom::fill(&mut random).map_err(KeysError::Randomness)?;
        let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        let sha256 = Hash::of(&secret);
        self.keys.push(Key { sha256, ..key });
        let last = self.keys.last_mut().ok_or(KeysError::TooMany)?;
        Ok((secret, last))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    fn read() -> BTreeSet<Scope> {
        [Scope::Read].into()
    }

    #[test]
    fn a_secret_opens_as_its_key_and_is_not_kept() {
        let mut keys = Keys::default();
        let (secret, _) = keys.add("ci", read(), now()).unwrap();
        let (other, _) = keys.add("web", read(), now()).unwrap();
        assert_ne!(secret, other);
        assert_eq!(keys.find(&secret, now()).unwrap().name, "ci");
        assert_eq!(keys.find(&secret[1..], now()), None);
        let written = serde_json::to_string(&keys).unwrap();
        assert!(!written.contains(&secret[PREFIX.len()..]), "{written}");
        let read: Keys = serde_json::from_str(&written).unwrap();
        assert_eq!(read, keys);
    }

    #[test]
    fn a_rotated_key_opens_for_a_while() {
        let mut keys = Keys::default();
        let (old, key) = keys.add("ci", read(), now()).unwrap();
        key.backlog_max = Some(7);
        let later = now() + SignedDuration::from_hours(1);
        let new = keys.rotate("ci", now(), later).unwrap();
        for secret in [&old, &new] {
            assert_eq!(keys.find(secret, now()).unwrap().backlog_max, Some(7));
        }
        assert_eq!(keys.find(&old, later), None);
        assert!(keys.find(&new, later).is_some());
        keys.revoke("ci").unwrap();
        assert_eq!(keys.find(&new, now()), None);
        assert!(matches!(keys.revoke("ci"), Err(KeysError::Unknown { .. })));
    }

    #[test]
    fn names_are_of_one_key_each() {
        let mut keys = Keys::default();
        keys.add("ci", read(), now()).unwrap();
        let taken = keys.add("ci", read(), now());
        assert!(matches!(taken, Err(KeysError::Taken { .. })));
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        for name in ["", "a b", "a/b", &long] {
            let refused = keys.add(name, read(), now());
            assert!(matches!(refused, Err(KeysError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn a_file_is_written_for_its_owner_alone_and_read_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("flotilla-keys-{}", std::process::id()));
        assert_eq!(Keys::read_or_new(&path).unwrap(), Keys::default());
        let mut keys = Keys::default();
        keys.add("ci", read(), now()).unwrap();
        keys.write(&path).unwrap();
        assert_eq!(Keys::read(&path).unwrap(), keys);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "{}").unwrap();
        assert!(matches!(Keys::read(&path), Err(KeysError::Syntax { .. })));
        fs::remove_file(&path).unwrap();
    }
}
