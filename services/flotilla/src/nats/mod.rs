//! `flotilla nats`: who may what on a nats-server that tells users apart, from the same table as
//! the code: printed for people, as a configuration for the server, and keys to go with it.

mod config;
mod keys;
mod users;

use std::path::PathBuf;

use clap::Subcommand;
use flotilla_common::broker::{Answers, Role};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the roles and what each may publish and subscribe to
    Roles {
        /// This role alone, like worker.query or publisher.scraping
        role: Option<String>,
    },
    /// Prints the users and permissions of a server, to be included by its configuration
    Config {
        #[command(flatten)]
        more: More,
    },
    /// Makes an nkey for each user that has none yet: seeds for the services, and keys.conf for
    /// the server, which holds the public halves alone
    Keys {
        /// Where the seeds are, or are to be
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        #[command(flatten)]
        more: More,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct More {
    /// A user beside those of the roles, as often as wanted: shop=publisher.query,reader.query
    #[arg(long = "user", value_name = "NAME=ROLE[,ROLE]")]
    users: Vec<String>,
}

/// To be called once the settings are read: they may define more categories, and so roles.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Roles { role } => {
            let role = role.map(|role| role.parse()).transpose()?;
            let roles = role.map_or_else(Role::all, |role| vec![role]);
            for role in roles {
                print!("{}", describe(role));
            }
        }
        Command::Config { more } => print!("{}", config::of(&users::with(&more.users)?)),
        Command::Keys { dir, more } => keys::make(&dir, &users::with(&more.users)?)?,
    }
    Ok(())
}

fn describe(role: Role) -> String {
    let grants = role.grants();
    let mut text = format!("{role}: {}\n", role.purpose());
    let lines = |verb: &str, subjects: &std::collections::BTreeSet<String>| -> String {
        let line = |subject: &String| format!("  {verb:<9}  {subject}\n");
        subjects.iter().map(line).collect()
    };
    text += &lines("publish", &grants.publish);
    text += &lines("subscribe", &grants.subscribe);
    text += match grants.answers {
        Answers::Never => "",
        Answers::Once => "  answers whoever asks it, once\n",
        Answers::AsItGoes => "  answers whoever asks it, as often as it takes\n",
    };
    text
}
