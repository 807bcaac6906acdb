//! Programs of the workspace as processes of their own; a worker among them, to be killed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Nats;

/// A binary of the workspace, next to this one.
pub(crate) fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push(name);
    assert!(
        path.exists(),
        "{path:?} is missing: build it with `cargo build --workspace --bins`"
    );
    path
}

pub(crate) struct WorkerProcess(Child);

impl WorkerProcess {
    /// Its standard input is our end of a pipe: it ends with us, however we end.
    pub(crate) fn start(nats: &Nats, ack_wait: Duration, slots: usize) -> Self {
        Self::start_with(nats, ack_wait, slots, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_with(
        nats: &Nats,
        ack_wait: Duration,
        slots: usize,
        environment: &[(&str, &str)],
    ) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_test-worker"))
            .args([
                nats.url(),
                ack_wait.as_millis().to_string(),
                slots.to_string(),
            ])
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(process)
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
