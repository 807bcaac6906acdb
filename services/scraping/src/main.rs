//! The scraping service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_scraping::main()
}
