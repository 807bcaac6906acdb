//! The command line: what there is to say, and who does it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use flotilla_common::service::{
    Flags, LogConfig, Settings, observed, report_failure, stop_on_signals,
};

use crate::client::{Api, Target};
use crate::commands::{
    ask, bench, breakers, dlq, documents, queues, schedules, stats, submit, tasks, workers,
};
use crate::exit::{Done, Failed, report};
use crate::terminal::Screen;
use crate::{doctor, fleet, keys, nats, protocol, top, up};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  done, and what came of it is bad: a task failed, was cancelled or expired; the doctor found an error
  2  the command, or what was sent with it, makes no sense
  3  there is no such task, letter, schedule or document; or the documents do not answer the question
  4  refused: a conflict, a full queue, no permission
  5  nobody answers, or who answers cannot work now
  6  the time given was up, and the work goes on
  130  Ctrl-C

Environment: FLOTILLA_SERVER, FLOTILLA_API_KEY, FLOTILLA_CONFIG, NO_COLOR; VISUAL or EDITOR.
`up`, `services`, `keys`, `nats`, `protocol` and `completions` talk to nobody, and end with 1 where they fail; all others talk to
a gateway, or with --nats to the broker itself; `doctor` looks at both.";

#[derive(Debug, Parser)]
#[command(
    name = "flotilla",
    version,
    about = "A fleet of task consumers over NATS JetStream",
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    target: Target,
    /// Print what the API answers, as it comes, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole fleet in this process, with a nats-server of its own unless one is given
    Up(Up),
    /// Prints the services that this configuration needs, a line each, for scripts that start one process per service
    Services,
    /// Submits a task, or many from a file; waits for the outcome where asked
    Submit(Box<submit::Args>),
    /// Asks a question, and shows the answer with its sources
    Ask(ask::Args),
    /// Tasks: what they are doing, and what became of them
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// What waits, by category and priority; pause, resume, slots
    Queues(queues::Args),
    /// Dead letters: tasks that failed for good, to be looked at, mended and run again
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Recurring tasks
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// Who works, and how busy they are
    Workers,
    /// Circuit breakers: list, reset, hold open
    #[command(subcommand)]
    Breakers(breakers::Command),
    /// What is indexed
    #[command(subcommand)]
    Documents(documents::Command),
    /// What the fleet has done: counts, rates, durations; or how the last hour went
    Stats(stats::Args),
    /// Everything at a glance, live: throughput, waits, backlog, slots, breakers
    Top(top::Args),
    /// Finds traps before they bite: limits, durability, drift, permissions, clocks, dependencies
    Doctor(doctor::Args),
    /// Measures this fleet with harmless questions, at the lowest priority
    Bench(bench::Args),
    /// API keys: make, list, rotate and revoke them, in a file
    #[command(subcommand)]
    Keys(keys::Command),
    /// Prints the wire contract as AsyncAPI, for clients over NATS
    Protocol(protocol::Args),
    /// Who may what on a nats-server that tells users apart: roles, its configuration, keys
    #[command(subcommand)]
    Nats(nats::Command),
    /// Prints the completions of a shell
    Completions { shell: Shell },
}

#[derive(Debug, clap::Args)]
struct Up {
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
}

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Up(up) => report_failure(up.run(&cli.flags)),
        Command::Services => report_failure(list_services(&cli.flags)),
        Command::Keys(command) => report_failure(manage_keys(command, &cli.flags)),
        Command::Protocol(args) => report(protocol::run(&args)),
        Command::Nats(command) => report_failure(manage_users(command, &cli.flags)),
        Command::Completions { shell } => report(completions(shell)),
        command => report(talk(command, &cli.flags, &cli.target, cli.json)),
    }
}

fn talk(command: Command, flags: &Flags, target: &Target, is_json: bool) -> Done {
    let settings = quiet_settings(flags)?;
    let screen = Screen::new(is_json);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failed::output(&error))?;
    let done = runtime.block_on(async {
        if let Command::Doctor(args) = command {
            return Box::pin(doctor::run(args, target, &settings, screen)).await;
        }
        let api = Api::open(target, &settings).await?;
        // Boxed: the futures of all commands in one are large.
        let done = Box::pin(dispatch(command, &api, screen)).await;
        api.close().await;
        done
    });
    // Whoever reads standard input may sit there for ever.
    runtime.shutdown_background();
    done
}

/// A command's own words are enough, unless somebody wants to see the log.
fn quiet_settings(flags: &Flags) -> Result<Settings, Failed> {
    let settings = flags
        .load()
        .map_err(|error| Failed::usage(error.to_string()))?;
    if settings.has("log", "level") {
        let log: LogConfig = settings
            .section("log")
            .map_err(|error| Failed::usage(error.to_string()))?;
        log.init().map_err(Failed::usage)?;
    }
    Ok(settings)
}

async fn dispatch(command: Command, api: &Api, screen: Screen) -> Done {
    match command {
        Command::Submit(args) => submit::run(*args, api, screen).await,
        Command::Ask(args) => ask::run(args, api, screen).await,
        Command::Tasks(command) => tasks::run(command, api, screen).await,
        Command::Queues(args) => queues::run(args, api, screen).await,
        Command::Dlq(command) => dlq::run(command, api, screen).await,
        Command::Schedules(command) => schedules::run(command, api, screen).await,
        Command::Workers => workers::run(api, screen).await,
        Command::Breakers(command) => breakers::run(command, api, screen).await,
        Command::Documents(command) => documents::run(command, api, screen).await,
        Command::Stats(args) => stats::run(args, api, screen).await,
        Command::Top(args) => top::run(args, api, screen).await,
        Command::Bench(args) => bench::run(args, api, screen).await,
        Command::Doctor(_)
        | Command::Up(_)
        | Command::Services
        | Command::Keys(_)
        | Command::Protocol(_)
        | Command::Nats(_)
        | Command::Completions { .. } => Ok(()),
    }
}

fn list_services(flags: &Flags) -> anyhow::Result<()> {
    for service in fleet::services(&flags.settings()?)? {
        println!("{service}");
    }
    Ok(())
}

fn manage_keys(command: keys::Command, flags: &Flags) -> anyhow::Result<()> {
    keys::run(command, &flags.settings()?)
}

fn manage_users(command: nats::Command, flags: &Flags) -> anyhow::Result<()> {
    // The settings may define categories, which have roles of their own.
    flags.settings()?;
    nats::run(command)
}

fn completions(shell: Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "flotilla", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map_err(|error| Failed::output(&error))
}

impl Up {
    fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let mut settings = flags.settings()?;
        override_with(&mut settings, "nats", "url", self.nats_url);
        override_with(&mut settings, "gateway", "listen", self.listen);
        let data_dir = self.data_dir.map(|dir| dir.display().to_string());
        override_with(&mut settings, "embedded", "data_dir", data_dir);
        if let Some(port) = self.nats_port {
            settings.set("embedded", "port", i64::from(port));
        }
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            let stop = stop_on_signals()?;
            observed("flotilla".to_owned(), async |telemetry| {
                up::run(settings, stop, telemetry).await
            })
            .await
        })
    }
}

fn override_with(settings: &mut Settings, section: &'static str, key: &str, value: Option<String>) {
    if let Some(value) = value {
        settings.set(section, key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_guides_name_commands_that_there_are() {
        let runbook = include_str!("../../../deploy/RUNBOOK.md").replace('\n', " ");
        let guide = include_str!("../../../deploy/KUBERNETES.md").replace('\n', " ");
        let quoted = [&runbook, &guide].map(|text| text.split('`').skip(1).step_by(2));
        let quoted = quoted.into_iter().flatten();
        let commands: Vec<_> = quoted
            .filter(|text| text.starts_with("flotilla "))
            .collect();
        assert!(commands.len() > 10);
        for command in commands {
            let command = command.replace("<category>", "query");
            let command = command.replace("<dependency>", "openai");
            match Cli::try_parse_from(command.split(' ')) {
                Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {}
                parsed => assert!(parsed.is_ok(), "{command}"),
            }
        }
    }

    #[test]
    fn completions_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "flotilla", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["dlq", "requeue", "scraping"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
