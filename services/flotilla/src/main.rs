//! `flotilla`: the command line; and the fleet in one process.

mod cli;
mod client;
mod commands;
#[cfg(test)]
mod config_file;
mod doctor;
mod embedded;
mod exit;
mod fleet;
mod keys;
mod nats;
mod protocol;
mod terminal;
mod top;
mod up;

fn main() -> std::process::ExitCode {
    cli::run()
}
