//! The stats service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_stats::main()
}
