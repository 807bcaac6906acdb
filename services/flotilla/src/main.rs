//! `flotilla`: the fleet in one process.

mod cli;
#[cfg(test)]
mod config_file;
mod embedded;
mod fleet;
mod keys;
mod up;

fn main() -> std::process::ExitCode {
    flotilla_common::service::report_failure(cli::run())
}
