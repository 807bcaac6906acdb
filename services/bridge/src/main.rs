//! The bridge as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_common::service::main("bridge", flotilla_bridge::run)
}
