//! How a command ends: what programs tell apart by the exit code, and what people read.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// The exit codes, as `flotilla --help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It was done, and what came of it is bad: the task failed, the doctor found an error.
    Bad = 1,
    /// What was asked for makes no sense.
    Usage = 2,
    NotFound = 3,
    /// Understood and not done: a conflict, a full queue, no permission.
    Refused = 4,
    /// Nobody answers, or who answers cannot work now.
    Unreachable = 5,
    /// The time given was up, and the work goes on.
    Late = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

/// A command that came to another end than 0.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) code: Code,
    /// Empty where all has been said.
    pub(crate) message: String,
    pub(crate) remedy: Option<String>,
    /// Whoever reads our output has gone, which is no failure.
    is_pipe_closed: bool,
}

pub(crate) type Done = Result<(), Failed>;

impl Failed {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            remedy: None,
            is_pipe_closed: false,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// For an end that has been told in other words already.
    pub(crate) fn told(code: Code) -> Self {
        Self::new(code, "")
    }

    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// Of writing to standard output.
    pub(crate) fn output(error: &io::Error) -> Self {
        Self {
            is_pipe_closed: error.kind() == io::ErrorKind::BrokenPipe,
            ..Self::new(Code::Bad, format!("cannot write the output: {error}"))
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Says what went wrong on standard error, and answers the code.
pub(crate) fn report(done: Done) -> ExitCode {
    let Err(failed) = done else {
        return ExitCode::SUCCESS;
    };
    if failed.is_pipe_closed {
        return ExitCode::SUCCESS;
    }
    if !failed.message.is_empty() {
        let remedy = failed.remedy.map(|remedy| format!("\n  {remedy}"));
        note(format!(
            "error: {}{}",
            failed.message,
            remedy.unwrap_or_default()
        ));
    }
    ExitCode::from(failed.code as u8)
}

/// A line on standard error, beside what the command answers.
pub(crate) fn note(line: impl fmt::Display) {
    prompt(&format!("{line}\n"));
}

/// The same without an end of the line.
pub(crate) fn prompt(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
}
