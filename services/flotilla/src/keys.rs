//! `flotilla keys`: makes, lists, rotates and revokes API keys. Gateways that use the file follow
//! it, so that none of this needs a restart.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use flotilla_common::model::duration;
use flotilla_common::service::Settings;
use flotilla_gateway::keys::{Key, Keys, Scope};
use jiff::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a key and prints it, this once; only its hash is kept
    New {
        /// Who or what it is for
        name: String,
        /// What it allows, as often as wanted: read, submit, manage
        #[arg(long = "scope", value_name = "SCOPE", default_values = ["read", "submit"])]
        scopes: Vec<Scope>,
        /// It opens nothing after that, like 90d
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        expires_in: Option<std::time::Duration>,
        /// Requests a second, where not as gateway.requests_per_second has it
        #[arg(long, value_name = "RATE", value_parser = rate)]
        requests_per_second: Option<f64>,
        /// Its submissions are refused while so many tasks wait in a category
        #[arg(long, value_name = "TASKS")]
        backlog_max: Option<u64>,
        #[command(flatten)]
        file: File,
    },
    /// Lists the keys
    List {
        #[command(flatten)]
        file: File,
    },
    /// Makes a new key for a name and prints it; the old one goes on to work for a while
    Rotate {
        name: String,
        /// How long the old one works, like 1h; 0s: not a moment
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration::parse)]
        grace: std::time::Duration,
        #[command(flatten)]
        file: File,
    },
    /// Ends all keys of a name at once
    Revoke {
        name: String,
        #[command(flatten)]
        file: File,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct File {
    /// The file with the keys, where not the one that gateway.keys_file names
    #[arg(long = "file", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl File {
    fn path(self, settings: &Settings) -> anyhow::Result<PathBuf> {
        let gateway: flotilla_gateway::Config = settings.section("gateway")?;
        self.path
            .or(gateway.keys_file)
            .context("no file for the keys: name one with --file, or set gateway.keys_file to it")
    }
}

pub(crate) fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    let now = Timestamp::now();
    match command {
        Command::New {
            name,
            scopes,
            expires_in,
            requests_per_second,
            backlog_max,
            file,
        } => {
            let path = file.path(settings)?;
            let mut keys = Keys::read_or_new(&path)?;
            let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
            let (secret, key) = keys.add(&name, scopes, now)?;
            key.expires_at = expires_in.map(|time| now.checked_add(time)).transpose()?;
            key.requests_per_second = requests_per_second;
            key.backlog_max = backlog_max;
            keys.write(&path)?;
            tell(&secret);
        }
        Command::List { file } => {
            for key in Keys::read(&file.path(settings)?)?.keys {
                println!("{}", line(&key, now));
            }
        }
        Command::Rotate { name, grace, file } => {
            let path = file.path(settings)?;
            let mut keys = Keys::read(&path)?;
            let secret = keys.rotate(&name, now, now.checked_add(grace)?)?;
            keys.write(&path)?;
            tell(&secret);
        }
        Command::Revoke { name, file } => {
            let path = file.path(settings)?;
            let mut keys = Keys::read(&path)?;
            keys.revoke(&name)?;
            keys.write(&path)?;
        }
    }
    Ok(())
}

/// The key alone goes where a script reads it.
fn tell(secret: &str) {
    println!("{secret}");
    eprintln!("Keep it: it is shown this once. Send it as Authorization: Bearer KEY.");
}

fn line(key: &Key, now: Timestamp) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    let until = match key.expires_at {
        None => String::new(),
        Some(at) if key.is_valid(now) => format!("  until {at}"),
        Some(at) => format!("  expired {at}"),
    };
    let rate = key.requests_per_second;
    let rate = rate.map_or(String::new(), |rate| format!("  {rate}/s"));
    let backlog = key.backlog_max;
    let backlog = backlog.map_or(String::new(), |max| format!("  backlog {max}"));
    let (name, scopes, made) = (&key.name, scopes.join(","), key.created_at);
    format!("{name:<20} {scopes:<20} made {made}{until}{rate}{backlog}")
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| format!("{text:?} is no rate: use a number above 0"))
}
