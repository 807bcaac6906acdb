//! Servers that tests start as processes of their own.

use std::fs::File;
use std::process::{Child, Command, Stdio};

/// Starts it, with all that it says in the log; a program that is missing is told with its remedy.
pub fn launched(command: &mut Command, log: File, remedy: &str) -> Child {
    let process = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    let program = command.get_program();
    process.unwrap_or_else(|error| panic!("cannot run {program:?} ({error}): {remedy}"))
}

/// Sends a signal by its name, like `-TERM`.
pub fn signal(process: &Child, name: &str) {
    let pid = process.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}
