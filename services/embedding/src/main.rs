//! The embedding service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_embedding::main()
}
