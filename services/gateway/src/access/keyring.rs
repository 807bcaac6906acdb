//! The keys as the gateway has them at the moment: read again when their file changes, so that
//! a key is made, rotated or revoked without a restart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::AccessError;
use super::bucket::{Bucket, Rate, Standing};
use super::keys::{Key, Keys, KeysError};
use crate::Config;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The keys, and how much of its rate each has used.
#[derive(Debug)]
pub(crate) struct Keyring {
    path: PathBuf,
    usual: Rate,
    keys: RwLock<Keys>,
    /// By name: what was rotated is one user still.
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// A key that was shown, and what it may do now.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(super) key: Key,
    pub(super) rate: Rate,
    pub(super) standing: Standing,
}

/// What tells that a file was replaced or written.
type Seen = Option<(SystemTime, u64)>;

impl Keyring {
    /// `None` where everybody may do everything; refuses that where others could get here.
    pub(crate) fn open(config: &Config, address: IpAddr) -> Result<Option<Arc<Self>>, AccessError> {
        let Some(path) = &config.keys_file else {
            return match address.is_loopback() || config.open_to_all {
                true => Ok(None),
                false => Err(AccessError::Open { address }),
            };
        };
        let keys = Keys::read(path)?;
        let now = Timestamp::now();
        if !keys.keys.iter().any(|key| key.is_valid(now)) {
            let path = path.clone();
            return Err(AccessError::NoKeys { path });
        }
        Ok(Some(Arc::new(Self {
            path: path.clone(),
            usual: Rate {
                per_second: config.requests_per_second,
                burst: f64::from(config.requests_burst),
            },
            keys: RwLock::new(keys),
            buckets: Mutex::default(),
        })))
    }

    pub(super) fn admit(&self, secret: &str) -> Option<Admitted> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.find(secret, Timestamp::now())?.clone();
        drop(keys);
        let per_second = key.requests_per_second.unwrap_or(self.usual.per_second);
        let rate = Rate {
            per_second,
            // A faster key may send as much more at once.
            burst: (self.usual.burst * per_second / self.usual.per_second).max(1.0),
        };
        let standing = self.bucket(&key, rate, Bucket::take);
        Some(Admitted {
            key,
            rate,
            standing,
        })
    }

    /// For what else is in a request: as many as the key may send now, of those that are wanted.
    pub(super) fn take_some(&self, of: &Admitted, wanted: u64) -> (u64, Standing) {
        self.bucket(&of.key, of.rate, |bucket, rate, now| {
            bucket.take_some(wanted, rate, now)
        })
    }

    /// The same for all that are wanted, or none of them.
    pub(super) fn take_all(&self, of: &Admitted, wanted: u64) -> Standing {
        self.bucket(&of.key, of.rate, |bucket, rate, now| {
            bucket.take_all(wanted, rate, now)
        })
    }

    fn bucket<R>(
        &self,
        key: &Key,
        rate: Rate,
        take: impl FnOnce(&mut Bucket, Rate, Instant) -> R,
    ) -> R {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key.name.clone());
        take(bucket.or_insert_with(|| Bucket::full(rate, now)), rate, now)
    }

    /// Looks whether the file has changed, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut seen = look(&self.path).await;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = look(&self.path).await;
            if now == seen {
                continue;
            }
            seen = now;
            match self.reload() {
                Ok(keys) => tracing::info!(keys, "the API keys were read again"),
                // Somebody is at it, or made a mistake: nobody is locked out by that.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "the API keys stay as they were");
                }
            }
        }
    }

    fn reload(&self) -> Result<usize, KeysError> {
        let keys = Keys::read(&self.path)?;
        let count = keys.keys.len();
        let is_there = |name: &str| keys.keys.iter().any(|key| key.name == name);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|name, _| is_there(name));
        drop(buckets);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(count)
    }
}

async fn look(path: &Path) -> Seen {
    let path = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || std::fs::metadata(path));
    let metadata = looked.await.ok()?.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_this_machine_is_served() {
        let open = |address: &str, open_to_all| {
            let config = Config {
                open_to_all,
                ..Config::default()
            };
            Keyring::open(&config, address.parse().unwrap()).map(|keyring| keyring.is_none())
        };
        assert!(matches!(open("127.0.0.1", false), Ok(true)));
        assert!(matches!(open("::1", false), Ok(true)));
        assert!(matches!(open("0.0.0.0", true), Ok(true)));
        for address in ["0.0.0.0", "::", "10.0.0.1"] {
            let error = open(address, false).unwrap_err().to_string();
            assert!(error.contains("gateway.keys_file"), "{error}");
        }
    }
}
