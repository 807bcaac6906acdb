//! The maintenance service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_maintenance::main()
}
