//! The scraping service as a process of its own.

fn main() -> std::process::ExitCode {
    flotilla_common::service::main("scraping", flotilla_scraping::run)
}
