//! What the proxy keeps of one page that is being rendered: its password, how much it may
//! still transfer, and what could not be reached for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::client;

pub(crate) const USER: &str = "flotilla";

/// Connections of one page at once; a browser makes 32 to a proxy.
const CONNECTIONS_MAX: usize = 64;

/// Failures remembered for one page: the one that is asked for is among the first.
const FAILURES_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct Ledger {
    bytes_left: AtomicU64,
    pub(super) connections: Arc<Semaphore>,
    failures: Mutex<HashMap<String, client::Error>>,
    /// The browser's address: the first to know the password. A server that makes the browser
    /// tell it cannot use it from elsewhere.
    peer: OnceLock<IpAddr>,
    pub(super) closed: CancellationToken,
}

impl Ledger {
    /// Takes bytes from what the page may transfer; `false` when they exceed it.
    pub(super) fn spend(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let left = |left: u64| left.checked_sub(bytes);
        let spent = self
            .bytes_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        if spent.is_err() {
            self.bytes_left.store(0, Ordering::Relaxed);
        }
        spent.is_ok()
    }

    pub(super) fn failed(&self, url: &Url, error: client::Error) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_MAX {
            failures.insert(origin(url), error);
        }
    }
}

/// By password. It names the page, and only the browser that renders it has been told.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    open: Mutex<HashMap<String, Arc<Ledger>>>,
}

impl Accounts {
    pub(super) fn of(&self, authorization: &str, peer: IpAddr) -> Option<Arc<Ledger>> {
        let decoded = STANDARD
            .decode(authorization.strip_prefix("Basic ")?)
            .ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (user, password) = decoded.split_once(':')?;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = open.get(password).filter(|_| user == USER)?;
        (*ledger.peer.get_or_init(|| peer) == peer).then(|| Arc::clone(ledger))
    }
}

/// Leave to use the proxy, for one page. Dropping it ends every connection made with it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) password: String,
    ledger: Arc<Ledger>,
    accounts: Arc<Accounts>,
}

impl Account {
    pub(super) fn open(accounts: &Arc<Accounts>, bytes_max: u64) -> Self {
        let ledger = Arc::new(Ledger {
            bytes_left: AtomicU64::new(bytes_max),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            failures: Mutex::default(),
            peer: OnceLock::new(),
            closed: CancellationToken::new(),
        });
        let password = password();
        let mut open = accounts.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(password.clone(), Arc::clone(&ledger));
        drop(open);
        Self {
            password,
            ledger,
            accounts: Arc::clone(accounts),
        }
    }

    /// Why a server could not be reached for this page, told once.
    pub(crate) fn failure(&self, url: &Url) -> Option<client::Error> {
        let failures = self.ledger.failures.lock();
        let mut failures = failures.unwrap_or_else(PoisonError::into_inner);
        failures.remove(&origin(url))
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.ledger.bytes_left.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let open = self.accounts.open.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.password);
        self.ledger.closed.cancel();
    }
}

fn origin(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", client::host(url))
}

/// 128 bits of the system's randomness: std seeds its hash maps with them.
fn password() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(fastrand::u64(..));
    format!("{:016x}{:016x}", word(), word())
}
