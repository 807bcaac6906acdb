//! The stats service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_common::service::main("stats", flotilla_stats::run)
}
