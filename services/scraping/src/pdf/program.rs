//! The program that reads one PDF: bounds itself, reads stdin, answers on stdout.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::document;
use super::protocol::Limits;

/// The whole of `flotilla-pdf`.
#[must_use]
pub fn read_pdf_from_stdin() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flotilla-pdf: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let limits = std::env::args().nth(1).ok_or(
        "give the limits as JSON, and the file on stdin: the scraping service starts this program",
    )?;
    let limits: Limits =
        serde_json::from_str(&limits).map_err(|error| format!("reading the limits: {error}"))?;
    restrict(&limits).map_err(|error| format!("limiting memory and time: {error}"))?;
    let mut file = Vec::new();
    std::io::stdin()
        .read_to_end(&mut file)
        .map_err(|error| format!("reading the file: {error}"))?;
    let answer = document::read(&file, &limits);
    let answer = serde_json::to_vec(&answer).map_err(|error| error.to_string())?;
    std::io::stdout()
        .write_all(&answer)
        .map_err(|error| format!("writing the answer: {error}"))
}

/// What goes past these ends the program, not the machine.
fn restrict(limits: &Limits) -> rustix::io::Result<()> {
    let exactly = |value| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(Resource::As, exactly(limits.memory_bytes_max))?;
    setrlimit(Resource::Cpu, exactly(limits.seconds_max))?;
    setrlimit(Resource::Core, exactly(0))?;
    // It has no business with files.
    setrlimit(Resource::Fsize, exactly(0))
}
