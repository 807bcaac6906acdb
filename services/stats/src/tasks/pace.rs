//! How fast records are taken in. While the fleet ends tasks by the thousand a second, following
//! all of them at once would take from it what it needs itself: then so many a second, and the
//! rest when it is quieter. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How long is looked at to tell whether the fleet is busy.
const WINDOW: Duration = Duration::from_millis(200);

pub(super) struct Pace {
    per_second: u32,
    resume_at: Instant,
    window_began: Instant,
    /// Records ever written, at the beginning of the window.
    written: Option<u64>,
    is_busy: bool,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        let now = Instant::now();
        Self {
            per_second,
            resume_at: now,
            window_began: now,
            written: None,
            // Until it is known.
            is_busy: true,
        }
    }

    pub(super) fn resume_at(&self) -> Instant {
        self.resume_at
    }

    /// So many were taken, and so many have ever been written.
    pub(super) fn taken(&mut self, now: Instant, records: usize, written: u64) {
        let passed = now.duration_since(self.window_began);
        match self.written {
            Some(before) if passed >= WINDOW => {
                let growth = written.saturating_sub(before) as f64;
                self.is_busy = growth > f64::from(self.per_second) * passed.as_secs_f64();
                (self.window_began, self.written) = (now, Some(written));
            }
            Some(_) => {}
            None => (self.window_began, self.written) = (now, Some(written)),
        }
        if self.is_busy {
            let takes = records as f64 / f64::from(self.per_second);
            self.resume_at = self.resume_at.max(now) + Duration::from_secs_f64(takes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records taken in ten seconds while `rate` a second are written and `backlog` lie ahead.
    fn taken(rate: u64, backlog: u64) -> u64 {
        let mut pace = Pace::new(1_000);
        let began = pace.resume_at();
        let (mut now, mut taken) = (began, 0);
        while now < began + Duration::from_secs(10) {
            now = now.max(pace.resume_at()) + Duration::from_millis(1);
            let written = backlog + rate * now.duration_since(began).as_millis() as u64 / 1_000;
            let chunk = (written - taken).min(100);
            taken += chunk;
            pace.taken(now, chunk as usize, written);
        }
        taken
    }

    #[test]
    fn a_quiet_fleet_is_followed_at_once_and_a_busy_one_at_the_pace() {
        assert!(taken(500, 0) > 4_900);
        assert!(
            taken(0, 500_000) >= 500_000,
            "what was left is caught up with"
        );
        let busy = taken(50_000, 0);
        assert!((9_000..40_000).contains(&busy), "{busy}");
    }
}
