//! What rounds of one kind came to.

use std::time::Duration;

use crate::report::{Report, figure, median};

/// Of each round.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) rates: Vec<f64>,
    /// Processor time in microseconds a task: of the programs that are measured,
    pub(crate) programs: Vec<f64>,
    /// and of the server. Both are empty where the system does not tell.
    pub(crate) servers: Vec<f64>,
}

/// Processor time that has been used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) programs: Duration,
    pub(crate) server: Duration,
}

/// Of two kinds of rounds, which is the second one: each comes first in turn, as the server has more to
/// remember of what was before.
pub(crate) const fn in_turn(round: usize) -> [bool; 2] {
    [round % 2 == 1, round.is_multiple_of(2)]
}

impl Rounds {
    /// Runs one, which answers with its rate; `cpu` tells what has been used so far.
    pub(crate) async fn add(
        &mut self,
        tasks: usize,
        cpu: impl Fn() -> Option<Cpu>,
        round: impl Future<Output = anyhow::Result<f64>>,
    ) -> anyhow::Result<()> {
        let before = cpu();
        self.rates.push(round.await?);
        if let Some((before, after)) = before.zip(cpu()) {
            let micros = |used: Duration| used.as_secs_f64() * 1e6 / tasks as f64;
            self.programs.push(micros(after.programs - before.programs));
            self.servers.push(micros(after.server - before.server));
        }
        Ok(())
    }

    /// Tells the processor time of a task, beside that of other rounds: all of it, and the server's part.
    pub(crate) fn report_cpu(
        &self,
        report: &mut Report,
        name: &str,
        beside: &'static str,
        of: &Self,
    ) {
        if self.programs.is_empty() || of.programs.is_empty() {
            return;
        }
        let name = format!("{name}, processor time of a task");
        let cpu = figure(&name, "µs", median(self.both()));
        report.add(cpu.by(beside, median(of.both())));
        let cpu = figure(
            format!("{name}, the server's"),
            "µs",
            median(self.servers.clone()),
        );
        report.add(cpu.by(beside, median(of.servers.clone())));
    }

    fn both(&self) -> Vec<f64> {
        let both = self.programs.iter().zip(&self.servers);
        both.map(|(programs, server)| programs + server).collect()
    }
}
