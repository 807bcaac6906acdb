//! What operators ask a process, over HTTP: its metrics, and how it is. Served by a thread of its
//! own, so that a process whose event loop is stuck can say so.

mod beat;
mod pages;
mod probes;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use self::beat::Beat;
use self::pages::Process;
use super::{Context, Readiness, StartError, duration};
use crate::metrics::{BUILD_INFO, EVENT_LOOP_LAG, Samples, Source, process};

/// Section `[ops]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where metrics and probes are served; nowhere while this is empty.
    pub listen: String,
    /// An event loop that has not beaten for so long is not alive.
    #[serde(with = "duration")]
    pub stuck_after: Duration,
}

impl Config {
    /// Where the fleet in one process serves them, as long as nobody says otherwise.
    pub const FLEET_LISTEN: &str = "127.0.0.1:9464";
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: String::new(),
            stuck_after: Duration::from_secs(15),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    #[error(
        "cannot serve metrics and probes on {listen}: something else listens there already; choose another address or port with ops.listen, or set it to \"\" for none"
    )]
    Taken { listen: String },
    #[error(
        "cannot serve metrics and probes on {listen}: set ops.listen to an address of this machine and a port that this user may open, like 127.0.0.1:9464, or to \"\" for none"
    )]
    Unusable { listen: String, source: io::Error },
}

/// What a process tells of itself; its listener is gone when this is dropped.
#[derive(Debug)]
pub struct Ops {
    address: Option<SocketAddr>,
    _beat: AbortOnDropHandle<()>,
    _stop: DropGuard,
    _lag: Arc<Lag>,
    _readiness: Arc<Readiness>,
}

impl Ops {
    /// Has the metrics tell of this process, and serves them, and what the context's services tell, so
    /// many of which this process runs, where `ops.listen` says. To be called from the event loop that
    /// is to beat.
    pub fn start(context: &Context, services: usize) -> Result<Self, StartError> {
        let config: Config = context.settings.section("ops")?;
        if config.stuck_after < Duration::from_secs(1) {
            let why = "ops.stuck_after must be 1s or longer: the loop beats twice a second";
            return Err(StartError::Invalid(why.to_owned()));
        }
        let listener = match config.listen.as_str() {
            "" => None,
            address => Some(listen(address)?),
        };
        let (beat, beating) = Beat::start();
        let lag = Arc::new(Lag(beat.clone()));
        let readiness = Arc::new(context.readiness.clone());
        context.metrics.add(&lag);
        context.metrics.add(&readiness);
        context.metrics.keep(&Arc::new(Itself(Timestamp::now())));
        context.traces.show(&context.metrics);
        let stop = CancellationToken::new();
        let process = Process {
            registry: context.metrics.clone(),
            readiness: context.readiness.clone(),
            services,
            draining: context.stop.clone(),
            beat,
            stuck_after: config.stuck_after,
            has_started: AtomicBool::new(false),
        };
        let serve = |listener| serve(listener, &config.listen, process, stop.clone());
        Ok(Self {
            address: listener.map(serve).transpose()?,
            _beat: beating,
            _stop: stop.drop_guard(),
            _lag: lag,
            _readiness: readiness,
        })
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// On a thread of its own, until the stop.
fn serve(
    listener: TcpListener,
    listen: &str,
    process: Process,
    stop: CancellationToken,
) -> Result<SocketAddr, OpsError> {
    let failed = |source| OpsError::Unusable {
        listen: listen.to_owned(),
        source,
    };
    let address = listener.local_addr().map_err(failed)?;
    let serve = move || {
        if let Err(error) = pages::serve(listener, process, stop) {
            tracing::error!(%error, "metrics and probes are not served any more");
        }
    };
    let thread = std::thread::Builder::new().name("ops".to_owned());
    thread.spawn(serve).map_err(failed)?;
    tracing::info!(%address, "metrics and probes are served");
    Ok(address)
}

/// The process, by when it started.
struct Itself(Timestamp);

impl Source for Itself {
    fn collect(&self, samples: &mut Samples) {
        samples.number(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        process::collect(samples, self.0);
    }
}

/// How late its event loop is.
#[derive(Debug)]
struct Lag(Beat);

impl Source for Lag {
    fn collect(&self, samples: &mut Samples) {
        samples.number(&EVENT_LOOP_LAG, &[], self.0.lag().as_secs_f64());
    }
}

fn listen(listen: &str) -> Result<TcpListener, OpsError> {
    let failed = |source: io::Error| {
        let listen = listen.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => OpsError::Taken { listen },
            _ => OpsError::Unusable { listen, source },
        }
    };
    let listener = TcpListener::bind(listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_says_what_to_do() {
        let first = listen("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = listen(&address).unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("ops.listen"),
            "{error}"
        );
        let error = listen("nowhere").unwrap_err().to_string();
        assert!(
            error.contains("nowhere") && error.contains("ops.listen"),
            "{error}"
        );
    }
}
