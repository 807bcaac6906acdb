//! The embedding service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_common::service::main("knowledge", flotilla_embedding::run)
}
