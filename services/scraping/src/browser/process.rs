//! A Chromium of our own: launched with a profile that is thrown away, and ended with all its
//! children, whatever ends us.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::config::Config;
use super::profile::Profile;

/// Beside the browser in its process group stands a shell that waits for the end of our pipe:
/// should this process be killed, the group is as well. The browser takes the first one's place.
const GUARDED: &str =
    "exec 3<&0 </dev/null; (cat <&3; kill -9 0) >/dev/null 2>&1 & exec \"$@\" 3<&-";

/// The browser tells its endpoint with these words.
const ENDPOINT: &str = "DevTools listening on ";
/// Of what a browser says before it fails, the end tells why.
const WORDS_MAX: usize = 400;
const END_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    /// Removed when it is dropped, after the processes that write to it.
    _profile: Profile,
}

/// In words: nothing depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("launching the browser {program}: {why}")]
pub(crate) struct LaunchError {
    program: String,
    why: String,
}

impl Process {
    /// The process, and where it takes commands.
    pub(super) async fn launch(
        config: &Config,
        program: &Path,
        proxy: &str,
    ) -> Result<(Self, String), LaunchError> {
        let failed = |why: String| LaunchError {
            program: program.display().to_string(),
            why,
        };
        // Off this thread: it may have much to remove.
        let profile = spawn_blocking(|| Profile::new_in(&std::env::temp_dir())).await;
        let profile = profile.map_err(io::Error::from).flatten();
        let profile = profile.map_err(|error| failed(format!("making its profile: {error}")))?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARDED, "browser"])
            .arg(program)
            .args(flags(config, profile.path(), proxy))
            // What our environment holds is not for a program that runs strangers' scripts.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", profile.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let errors = child.stderr.take();
        let process = Self {
            child,
            group,
            _profile: profile,
        };
        let mut words = String::new();
        let endpoint = match errors {
            Some(errors) => timeout(config.launch_timeout, endpoint(errors, &mut words)).await,
            None => Ok(None),
        };
        match endpoint {
            Ok(Some(endpoint)) => Ok((process, endpoint)),
            Ok(None) => {
                process.end().await;
                Err(failed(format!(
                    "it ended at once, saying: {}",
                    tail(&words)
                )))
            }
            Err(_) => {
                process.end().await;
                let within = config.launch_timeout.as_secs_f64();
                Err(failed(format!("it was not ready within {within} s")))
            }
        }
    }

    /// Ends the whole group, and waits until the browser is gone.
    pub(super) async fn end(mut self) {
        self.kill();
        // Killed, it ends; it is not ours to wait for one that hangs in the kernel.
        let _ = timeout(END_TIMEOUT, self.child.wait()).await;
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // It fails when nobody is left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the program says of itself, without becoming a browser.
pub(super) async fn version(program: &Path) -> Result<String, String> {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let name = program.display();
    match timeout(END_TIMEOUT, asked).await {
        Err(_) => Err(format!("{name} --version did not end")),
        Ok(Err(error)) => Err(format!("{name}: {error}")),
        Ok(Ok(told)) if told.status.success() => {
            Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
        }
        Ok(Ok(told)) => Err(format!("{name} --version ended with {}", told.status)),
    }
}

/// `None` when the browser falls silent. What it says later is read, and dropped: a pipe that
/// is full would stop it.
async fn endpoint(
    errors: impl AsyncRead + Unpin + Send + 'static,
    words: &mut String,
) -> Option<String> {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, endpoint)) = line.split_once(ENDPOINT) {
            let endpoint = endpoint.trim().to_owned();
            tokio::spawn(async move {
                let mut errors = lines.into_inner();
                let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            });
            return Some(endpoint);
        }
        words.push_str(line.trim());
        words.push(' ');
        if words.len() > 16 * WORDS_MAX {
            *words = tail(words).to_owned();
        }
    }
    None
}

fn tail(words: &str) -> &str {
    let words = words.trim();
    let from = words.len().saturating_sub(WORDS_MAX);
    let from = (from..=words.len()).find(|at| words.is_char_boundary(*at));
    match &words[from.unwrap_or(words.len())..] {
        "" => "nothing",
        tail => tail,
    }
}

fn flags(config: &Config, profile: &Path, proxy: &str) -> Vec<String> {
    let mut flags: Vec<String> = [
        "--headless=new",
        "--remote-debugging-port=0",
        "--disable-gpu",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-breakpad",
        "--disable-client-side-phishing-detection",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-dev-shm-usage",
        "--disable-domain-reliability",
        "--disable-extensions",
        "--disable-sync",
        "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
        "--metrics-recording-only",
        "--mute-audio",
        "--password-store=basic",
        "--use-mock-keychain",
        // Everything through the proxy, names unresolved, the loopback address included; and
        // nothing over UDP, which no proxy sees.
        "--proxy-bypass-list=<-loopback>",
        "--disable-quic",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    ]
    .map(str::to_owned)
    .into();
    flags.push(format!("--proxy-server={proxy}"));
    let proxy_host = config.proxy_name();
    flags.push(format!(
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {proxy_host}"
    ));
    flags.push(format!("--user-data-dir={}", profile.display()));
    if !config.sandbox {
        flags.push("--no-sandbox".to_owned());
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_no_browser_says_why() {
        let config = Config::default();
        let launch = |program| Process::launch(&config, Path::new(program), "127.0.0.1:1");
        let error = launch("/bin/false").await.unwrap_err().to_string();
        assert!(
            error.contains("/bin/false") && error.contains("ended at once"),
            "{error}"
        );
        let error = launch("/no/such/browser").await.unwrap_err().to_string();
        assert!(error.contains("/no/such/browser"), "{error}");
    }

    #[test]
    fn the_end_of_what_was_said_is_kept() {
        assert_eq!(tail("  "), "nothing");
        let long = "ä".repeat(WORDS_MAX);
        assert!(tail(&long).len() <= WORDS_MAX);
    }
}
