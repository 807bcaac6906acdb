//! Reads one PDF from stdin: started by the scraping service for each file, and ended with it.

fn main() -> std::process::ExitCode {
    flotilla_scraping::read_pdf_from_stdin()
}
