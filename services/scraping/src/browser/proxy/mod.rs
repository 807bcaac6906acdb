//! The way to the network for a browser, which our address filter does not reach: an HTTP
//! proxy of our own, through which the browser is made to make every connection. It judges
//! hosts, ports and each resolved address by the same `Policy` as plain fetches, and connects
//! to the very address that it has judged, so that no name can change its meaning in between.

mod account;
mod head;
mod relay;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::account::Accounts;
pub(crate) use self::account::{Account, USER};
use crate::address::Policy;

/// Connections of all pages, and of strangers that have not shown a password.
const CONNECTIONS_MAX: usize = 512;

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    policy: Arc<Policy>,
    connect_timeout: Duration,
    accounts: Arc<Accounts>,
    /// Our own ports on this machine, which no page may call even where the configuration
    /// opens the loopback network: the browser's control and this proxy itself.
    own_ports: Mutex<Vec<u16>>,
}

impl Proxy {
    pub(crate) async fn start(
        listen: SocketAddr,
        policy: Arc<Policy>,
        connect_timeout: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            policy,
            connect_timeout,
            accounts: Arc::default(),
            own_ports: Mutex::new(vec![address.port()]),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The port on which the browser takes our commands, replacing that of the one before.
    pub(crate) fn keep_off(&self, port: u16) {
        let mut ports = self.shared.lock_ports();
        ports.truncate(1);
        ports.push(port);
    }

    pub(crate) fn open(&self, bytes_max: u64) -> Account {
        Account::open(&self.shared.accounts, bytes_max)
    }
}

impl Shared {
    fn lock_ports(&self) -> std::sync::MutexGuard<'_, Vec<u16>> {
        self.own_ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        address.ip().is_loopback() && self.lock_ports().contains(&address.port())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed, so that this fails never.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _place = place;
                    relay::serve(stream, peer.ip(), &shared).await;
                });
            }
            // Out of descriptors, most likely: it passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[cfg(test)]
mod tests;
