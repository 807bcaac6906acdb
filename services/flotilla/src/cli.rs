//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use flotilla_common::service::{Flags, Settings, stop_on_signals};

use crate::{keys, up};

#[derive(Debug, Parser)]
#[command(
    name = "flotilla",
    version,
    about = "A fleet of task consumers over NATS JetStream"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole fleet in this process, with a nats-server of its own unless one is given
    Up {
        /// Use this server instead of one of our own (NATS_URL names it too)
        #[arg(long, value_name = "URL")]
        nats_url: Option<String>,
        /// Where the gateway listens
        #[arg(long, value_name = "HOST:PORT")]
        listen: Option<String>,
        /// Where our own nats-server keeps its data
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// The port of our own nats-server
        #[arg(long, value_name = "PORT")]
        nats_port: Option<u16>,
    },
    /// API keys: make, list, rotate and revoke them
    #[command(subcommand)]
    Keys(keys::Command),
}

pub(crate) fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut settings = cli.flags.settings()?;
    match cli.command {
        Command::Keys(command) => return keys::run(command, &settings),
        Command::Up {
            nats_url,
            listen,
            data_dir,
            nats_port,
        } => {
            override_with(&mut settings, "nats", "url", nats_url);
            override_with(&mut settings, "gateway", "listen", listen);
            override_with(
                &mut settings,
                "embedded",
                "data_dir",
                data_dir.map(|dir| dir.display().to_string()),
            );
            if let Some(port) = nats_port {
                settings.set("embedded", "port", i64::from(port));
            }
        }
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async { up::run(settings, stop_on_signals()?).await })
}

fn override_with(settings: &mut Settings, section: &'static str, key: &str, value: Option<String>) {
    if let Some(value) = value {
        settings.set(section, key, value);
    }
}
