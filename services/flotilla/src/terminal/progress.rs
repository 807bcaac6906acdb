//! How far long work is: one line on standard error that is written over, and nothing at all
//! where that is no terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::table::cut;
use super::{count, seconds, size};

const DRAW_EVERY: Duration = Duration::from_millis(100);
const BAR_CELLS: usize = 24;

#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    total: Option<u64>,
    is_shown: bool,
    began: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// `total` where it is known.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        Self {
            what,
            total,
            is_shown: io::stderr().is_terminal(),
            began: Instant::now(),
            drawn: None,
        }
    }

    pub(crate) fn show(&mut self, done: u64, note: &str) {
        let is_time = self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY);
        if !self.is_shown || !is_time {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = self.line(done, self.began.elapsed(), note);
        let width = size().map_or(80, |(columns, _)| columns);
        draw(&format!("\r\x1b[K{}", cut(&line, width.saturating_sub(1))));
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.is_shown && self.drawn.take().is_some() {
            draw("\r\x1b[K");
        }
    }

    pub(crate) fn clear_if(&mut self, is_over: bool) {
        if is_over {
            self.clear();
        }
    }

    fn line(&self, done: u64, passed: Duration, note: &str) -> String {
        let rate = done as f64 / passed.as_secs_f64().max(1e-3);
        let far = match self.total {
            Some(total) if total > 0 => {
                let share = (done as f64 / total as f64).min(1.0);
                let full = (share * BAR_CELLS as f64).round() as usize;
                let bar = "█".repeat(full) + &"░".repeat(BAR_CELLS - full);
                let left = total.saturating_sub(done) as f64 / rate.max(1e-3);
                let left = match done {
                    0 => String::new(),
                    _ => format!(", {} left", seconds(left)),
                };
                format!("{bar} {} of {}{left}", count(done), count(total))
            }
            _ => count(done),
        };
        format!("{} {far}, {rate:.0}/s{note}", self.what)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn draw(text: &str) {
    let mut out = io::stderr().lock();
    // Nobody has to see how far it is.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_how_fast_and_how_long() {
        let progress = Progress::new("submitted", Some(400));
        let line = progress.line(100, Duration::from_secs(10), "");
        assert_eq!(
            line,
            "submitted ██████░░░░░░░░░░░░░░░░░░ 100 of 400, 30.00 s left, 10/s"
        );
        let open = Progress::new("submitted", None).line(7, Duration::from_secs(1), ", 2 failed");
        assert_eq!(open, "submitted 7, 7/s, 2 failed");
    }
}
