//! How soon a host may be asked again. Pure: time comes in as an argument, and the caller
//! does the waiting. The count is per process; several processes add up.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Beyond this the host whose turn is nearest is forgotten: it loses the least politeness.
const HOSTS_MAX: usize = 10_000;

/// Requests to one host that may follow each other without a pause.
const BURST: u32 = 2;

#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// When each host would be free again if its requests came evenly spaced.
    free_at: HashMap<String, Instant>,
}

/// The turn lies too far ahead to wait for; nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSoon {
    pub(crate) wait: Duration,
}

impl Pace {
    pub(crate) fn new(requests_per_second: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / requests_per_second),
            free_at: HashMap::new(),
        }
    }

    /// Reserves the next turn at `host` and says how long to wait for it. A site's own
    /// `crawl_delay` slows us down, never up, and allows no burst.
    pub(crate) fn reserve(
        &mut self,
        host: &str,
        crawl_delay: Option<Duration>,
        now: Instant,
        wait_max: Duration,
    ) -> Result<Duration, TooSoon> {
        let interval = self.interval.max(crawl_delay.unwrap_or_default());
        let slack = match crawl_delay {
            Some(_) => Duration::ZERO,
            None => interval * (BURST - 1),
        };
        let free_at = self.free_at.get(host).copied().unwrap_or(now).max(now);
        let wait = free_at.duration_since(now).saturating_sub(slack);
        if wait > wait_max {
            return Err(TooSoon { wait });
        }
        self.make_room(host, now);
        self.free_at.insert(host.to_owned(), free_at + interval);
        Ok(wait)
    }

    fn make_room(&mut self, host: &str, now: Instant) {
        if self.free_at.len() < HOSTS_MAX || self.free_at.contains_key(host) {
            return;
        }
        self.free_at.retain(|_, free_at| *free_at > now);
        if self.free_at.len() < HOSTS_MAX {
            return;
        }
        let nearest = self.free_at.iter().min_by_key(|(_, free_at)| **free_at);
        if let Some(nearest) = nearest.map(|(host, _)| host.clone()) {
            self.free_at.remove(&nearest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(10);

    fn millis(count: u64) -> Result<Duration, TooSoon> {
        Ok(Duration::from_millis(count))
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_spaced() {
        let (mut pace, now) = (Pace::new(2.0), Instant::now());
        for expected in [0, 0, 500, 1000, 1500] {
            assert_eq!(pace.reserve("a", None, now, WAIT_MAX), millis(expected));
        }
        assert_eq!(pace.reserve("b", None, now, WAIT_MAX), millis(0));
        let later = now + Duration::from_secs(10);
        assert_eq!(pace.reserve("a", None, later, WAIT_MAX), millis(0));
    }

    #[test]
    fn a_refused_turn_is_not_reserved() {
        let (mut pace, now) = (Pace::new(1.0), Instant::now());
        let wait_max = Duration::from_millis(1500);
        for expected in [0, 0, 1000] {
            assert_eq!(pace.reserve("a", None, now, wait_max), millis(expected));
        }
        let too_soon = Err(TooSoon {
            wait: Duration::from_secs(2),
        });
        assert_eq!(pace.reserve("a", None, now, wait_max), too_soon);
        assert_eq!(pace.reserve("a", None, now, wait_max), too_soon);
    }

    #[test]
    fn a_crawl_delay_slows_and_never_speeds() {
        let (mut pace, now) = (Pace::new(2.0), Instant::now());
        let delay = Some(Duration::from_secs(3));
        assert_eq!(pace.reserve("a", delay, now, WAIT_MAX), millis(0));
        assert_eq!(pace.reserve("a", delay, now, WAIT_MAX), millis(3000));
        let short = Some(Duration::from_millis(1));
        assert_eq!(pace.reserve("b", short, now, WAIT_MAX), millis(0));
        assert_eq!(pace.reserve("b", short, now, WAIT_MAX), millis(500));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut pace, now) = (Pace::new(2.0), Instant::now());
        for host in 0..HOSTS_MAX + 50 {
            pace.reserve(&host.to_string(), None, now, WAIT_MAX)
                .unwrap();
        }
        assert_eq!(pace.free_at.len(), HOSTS_MAX);
    }
}
