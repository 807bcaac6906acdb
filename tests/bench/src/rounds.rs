//! What rounds of one kind came to.

use std::time::Duration;

/// Of each round.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) rates: Vec<f64>,
    /// Of those whose processor time counts, in microseconds a task.
    pub(crate) cpu: Vec<f64>,
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
        cpu: impl Fn() -> Option<Duration>,
        round: impl Future<Output = anyhow::Result<f64>>,
    ) -> anyhow::Result<()> {
        let before = cpu();
        self.rates.push(round.await?);
        let used = before.zip(cpu()).map(|(before, after)| after - before);
        let micros = |used: Duration| used.as_secs_f64() * 1e6 / tasks as f64;
        self.cpu.extend(used.map(micros));
        Ok(())
    }
}
