//! The batch service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_common::service::main("batch", flotilla_batch::run)
}
