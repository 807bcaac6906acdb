//! The service's side: starts the program, feeds it, and ends it when its time is up.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::protocol::{Answer, Fault, Limits, Text};
use crate::Config;

/// What all the streams of a file may become.
const INFLATED_BYTES_MAX: usize = 50 * 1024 * 1024;
const CONTENT_BYTES_MAX: usize = 8 * 1024 * 1024;
const MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;

const PROGRAM: &str = "flotilla-pdf";

/// Its words are for the log; a crash says little more.
const STDERR_BYTES_MAX: u64 = 4 * 1024;
/// JSON writes some characters as six.
const JSON_GROWTH: usize = 6;

#[derive(Debug)]
pub(crate) struct Reader {
    limits: Limits,
    timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the program {PROGRAM} is not beside {}: build it (cargo build --bin {PROGRAM}) or put it there",
        beside.display()
    )]
    Missing { beside: PathBuf },
    #[error("running {PROGRAM}")]
    Io(#[from] std::io::Error),
    #[error("reading the PDF took longer than {} s", after.as_secs_f64())]
    Timeout { after: Duration },
    #[error("{PROGRAM} ended without an answer ({status}): {said}")]
    NoAnswer { status: ExitStatus, said: String },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Reader {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            limits: Limits {
                pages_max: config.pdf_pages_max,
                inflated_bytes_max: INFLATED_BYTES_MAX,
                // The result is cut further; its hash is of all that is read.
                content_bytes_max: CONTENT_BYTES_MAX.max(config.content_bytes_max),
                links_max: config.links_max,
                memory_bytes_max: MEMORY_BYTES_MAX,
                seconds_max: config.pdf_timeout.as_secs().max(1) + 1,
            },
            timeout: config.pdf_timeout,
        }
    }

    /// Whether there is a program to start.
    pub(crate) fn check() -> Result<(), Error> {
        find().map(drop)
    }

    pub(crate) async fn read(&self, file: &[u8]) -> Result<Text, Error> {
        let program = find()?;
        let limits = serde_json::to_string(&self.limits).map_err(std::io::Error::from)?;
        let mut child = Command::new(program)
            .arg(limits)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Also when the task that waits for it is dropped.
            .kill_on_drop(true)
            .spawn()?;
        match tokio::time::timeout(self.timeout, self.converse(&mut child, file)).await {
            Ok(answer) => answer,
            Err(_) => {
                child.kill().await?;
                let after = self.timeout;
                Err(Error::Timeout { after })
            }
        }
    }

    async fn converse(&self, child: &mut Child, file: &[u8]) -> Result<Text, Error> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let answer_bytes_max = self.limits.content_bytes_max * JSON_GROWTH + 1024 * 1024;
        let feed = async {
            if let Some(mut stdin) = stdin {
                // It may end before it has read everything, and says why itself.
                let _ = stdin.write_all(file).await;
            }
        };
        let (mut answer, mut said) = (Vec::new(), Vec::new());
        let hear = async {
            if let Some(stdout) = stdout {
                stdout
                    .take(answer_bytes_max as u64)
                    .read_to_end(&mut answer)
                    .await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let listen = async {
            if let Some(stderr) = stderr {
                let _ = stderr.take(STDERR_BYTES_MAX).read_to_end(&mut said).await;
            }
        };
        let ((), heard, ()) = tokio::join!(feed, hear, listen);
        heard?;
        let status = child.wait().await?;
        let said = String::from_utf8_lossy(&said);
        match serde_json::from_slice::<Answer>(&answer) {
            Ok(answer) if status.success() => Ok(answer?),
            _ => Err(self.ended(status, said.trim())),
        }
    }

    /// What the end of the program says about the file.
    fn ended(&self, status: ExitStatus, said: &str) -> Error {
        if said.contains("memory allocation of") {
            let megabytes = self.limits.memory_bytes_max / (1024 * 1024);
            return Fault::TooLarge(format!("it takes more than {megabytes} MiB to read")).into();
        }
        if said.starts_with("flotilla-pdf:") {
            let said = said.to_owned();
            return Error::NoAnswer { status, said };
        }
        // The limit of its processor time, with no time left to say so.
        if is_signal(status, rustix::process::Signal::XCPU) {
            return Error::Timeout {
                after: self.timeout,
            };
        }
        Fault::Broken(format!("its reader crashed ({status})")).into()
    }
}

fn is_signal(status: ExitStatus, signal: rustix::process::Signal) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(signal.as_raw())
}

fn find() -> Result<PathBuf, Error> {
    find_beside(&std::env::current_exe()?)
}

/// In its directory, or in the one above, where tests run from `deps`.
fn find_beside(running: &Path) -> Result<PathBuf, Error> {
    let directories = running.ancestors().skip(1).take(2);
    directories
        .map(|directory| directory.join(PROGRAM))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing {
            beside: running.parent().map(Path::to_owned).unwrap_or_default(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_beside_ours_or_its_absence_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let running = directory.path().join("deps/fleet-0123");
        let error = find_beside(&running).unwrap_err().to_string();
        assert!(error.contains("cargo build --bin flotilla-pdf"), "{error}");
        let program = directory.path().join(PROGRAM);
        std::fs::write(&program, "").unwrap();
        assert_eq!(find_beside(&running).unwrap(), program);
        let beside = directory.path().join("flotilla");
        assert_eq!(find_beside(&beside).unwrap(), program);
    }
}
