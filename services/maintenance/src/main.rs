//! The maintenance service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_common::service::main("maintenance", flotilla_maintenance::run)
}
