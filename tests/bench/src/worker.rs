//! This program as a worker of its own, for sections that need worker processes: it runs until its
//! standard input is closed.

use std::io::Read;
use std::process::Stdio;

use anyhow::ensure;
use clap::Args;
use flotilla_common::model::Category;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::fleet::Setup;
use crate::process::Usage;

const READY: &str = "ready";

#[derive(Debug, Args)]
pub(crate) struct Options {
    url: String,
    category: Category,
    slots: usize,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let setup = Setup {
        category: options.category,
        ..Setup::new(options.url, options.slots)
    };
    let worker = setup.worker().await?;
    println!("{READY}");
    // Not tokio's: a read that still waits would keep the runtime from ending.
    let closed = std::thread::spawn(|| std::io::stdin().read(&mut [0]));
    while !closed.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    worker.stop().await
}

/// Killed when it is dropped.
pub(crate) struct WorkerProcess {
    process: Child,
}

impl WorkerProcess {
    /// Answers once it is bound to its consumers.
    pub(crate) async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["worker", &setup.url, setup.category.name()])
            .arg(setup.slots.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        if let Some(said) = process.stdout.take() {
            BufReader::new(said).read_line(&mut line).await?;
        }
        ensure!(line.trim() == READY, "a worker process did not start");
        Ok(Self { process })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.process.id()?)
    }
}
