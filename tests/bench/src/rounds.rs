//! What rounds of one kind came to.

use std::time::{Duration, Instant};

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

/// Times the work of a round, and nothing that prepares it or comes after it.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// So many in each round.
    pub(crate) tasks: usize,
    /// What has been used so far; `None` where the system does not tell.
    pub(crate) cpu: &'a (dyn Fn() -> Option<Cpu> + Sync),
}

/// One round.
pub(crate) struct Round {
    /// Tasks a second.
    pub(crate) rate: f64,
    /// Of a task.
    cpu: Option<Cpu>,
}

impl Watch<'_> {
    pub(crate) async fn time(
        self,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Round> {
        let (before, began) = ((self.cpu)(), Instant::now());
        work.await?;
        let tasks = self.tasks as f64;
        let rate = tasks / began.elapsed().as_secs_f64();
        let cpu = before.zip((self.cpu)()).map(|(before, after)| Cpu {
            programs: (after.programs - before.programs).div_f64(tasks),
            server: (after.server - before.server).div_f64(tasks),
        });
        Ok(Round { rate, cpu })
    }
}

/// Processor time.
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
    pub(crate) fn add(&mut self, round: Round) {
        self.rates.push(round.rate);
        if let Some(cpu) = round.cpu {
            let micros = |used: Duration| used.as_secs_f64() * 1e6;
            self.programs.push(micros(cpu.programs));
            self.servers.push(micros(cpu.server));
        }
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
