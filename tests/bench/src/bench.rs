//! What all sections are given: how much to measure, servers to measure on, and the machine.

use std::fmt;
use std::process::Command;

use anyhow::Context as _;
use flotilla_tests::Nats;
use serde::Serialize;

use crate::options::Options;
use crate::process::Usage;

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) is_quick: bool,
    pub(crate) scale: Scale,
    pub(crate) builds_from_nothing: bool,
    url: Option<String>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Each figure is the median of so many rounds, baseline and fleet in turn.
    pub(crate) rounds: usize,
    pub(crate) tasks: usize,
    /// Where it is to be told what can be kept up: for seconds, not for one.
    pub(crate) sustained: usize,
    pub(crate) round_trips: usize,
}

const FULL: Scale = Scale {
    rounds: 5,
    tasks: 50_000,
    sustained: 400_000,
    round_trips: 2_000,
};
const QUICK: Scale = Scale {
    rounds: 1,
    tasks: 5_000,
    sustained: 10_000,
    round_trips: 200,
};

impl Bench {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            is_quick: options.quick,
            scale: if options.quick { QUICK } else { FULL },
            builds_from_nothing: options.build,
            url: options.url.clone(),
        }
    }

    /// The server to measure on: the one that was named, or one of its own.
    pub(crate) async fn server(&self) -> Server {
        match &self.url {
            Some(url) => Server::Named(url.clone()),
            None => Server::Ours(Nats::start().await),
        }
    }
}

pub(crate) enum Server {
    Named(String),
    Ours(Nats),
}

impl Server {
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Named(url) => url.clone(),
            Self::Ours(nats) => nats.url(),
        }
    }

    /// What it has used so far; `None` where that cannot be seen.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Named(_) => None,
            Self::Ours(nats) => Usage::of(nats.pid()?),
        }
    }
}

/// What the figures depend on.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    nats_server: String,
}

impl Machine {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let server = flotilla_tests::program();
        let version = Command::new(&server).arg("--version").output();
        let version = version.with_context(|| {
            format!(
                "cannot run {}: `just bench` fetches a nats-server, or name one in FLOTILLA_NATS_SERVER",
                server.display()
            )
        })?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.rsplit(' ').next().unwrap_or_default().trim();
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            nats_server: version.to_owned(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, nats_server } = self;
        write!(
            f,
            "{cores} cores, which also run the nats-server ({nats_server})"
        )
    }
}
