//! How the server is to store batches: one message after the other (its fast ingest), or each batch at
//! once (an atomic one). A server that brings every write to the disk before it acknowledges does that
//! once for what is stored at once, which is many times sooner; any other takes longer for it. None
//! says which it is, so that it is measured. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A message that takes the server no longer than this is not waiting for a disk.
const FAST: Duration = Duration::from_micros(100);
/// How much sooner it has to be to store at once, before that is begun: what else the server does is
/// measured as well.
const SOONER: u32 = 2;
/// How often the way is tried that is not used.
const TRY_EVERY: Duration = Duration::from_secs(60);
/// Messages that are measured together.
const MEASURED: u32 = 64;
/// Messages of a large batch. Of a smaller one most of the time is its way to the server and back, and
/// several writes to the disk that an atomic batch takes by itself (2 ms were measured, as much as a
/// dozen messages take one by one) would be in vain.
const LARGE: u32 = 32;
/// Times that are remembered of each way. The least of them counts: all else makes them longer.
const REMEMBERED: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each is checked and stored by itself, as if it came alone.
    OneByOne,
    /// All of a batch or none.
    AtOnce,
}

impl Way {
    const fn other(self) -> Self {
        match self {
            Self::OneByOne => Self::AtOnce,
            Self::AtOnce => Self::OneByOne,
        }
    }
}

#[derive(Debug)]
pub(super) struct Ways {
    way: Way,
    one_by_one: Times,
    at_once: Times,
    /// The one to use, while the other is not being tried.
    best: Way,
    try_at: Instant,
    measured: Measured,
}

/// What a message took lately, the oldest first.
#[derive(Debug, Default)]
struct Times(VecDeque<Duration>);

/// What the server has done since the last time was taken.
#[derive(Debug, Default)]
struct Measured {
    messages: u32,
    batches: u32,
    /// While it had anything to do for us, but for what it has now.
    busy: Duration,
    /// Since when it has that.
    busy_since: Option<Instant>,
}

/// What has been stored of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) way: Way,
    pub(super) sent_at: Instant,
    pub(super) messages: usize,
    /// Whether no other one is under way.
    pub(super) is_last: bool,
}

impl Ways {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            way: Way::OneByOne,
            one_by_one: Times::default(),
            at_once: Times::default(),
            best: Way::OneByOne,
            try_at: now,
            measured: Measured::default(),
        }
    }

    /// That of large batches. Where others are under way, they have to be answered first.
    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// The way of a batch that is sent now.
    pub(super) fn send(&mut self, now: Instant, messages: usize) -> Way {
        if self.way == Way::AtOnce && messages < LARGE as usize {
            return Way::OneByOne;
        }
        self.measured.busy_since.get_or_insert(now);
        self.way
    }

    pub(super) fn stored(&mut self, now: Instant, batch: Stored) {
        if batch.way != self.way {
            return;
        }
        let Some(time) = self.measured.add(now, batch) else {
            return;
        };
        self.times().add(time);
        let way = self.next(now);
        if way != self.way {
            self.way = way;
            self.measured = Measured::default();
        }
    }

    /// The server has not taken a batch at once, be it for one of its messages.
    pub(super) fn refused(&mut self) {
        self.at_once = Times::default();
        self.best = Way::OneByOne;
        self.way = Way::OneByOne;
        self.measured = Measured::default();
    }

    fn next(&mut self, now: Instant) -> Way {
        if !self.times().is_known() {
            return self.way;
        }
        let sooner = match self.best {
            Way::AtOnce => 1,
            Way::OneByOne => SOONER,
        };
        let at_once = self.at_once.least().saturating_mul(sooner);
        self.best = match self.at_once.is_known() && at_once < self.one_by_one.least() {
            true => Way::AtOnce,
            false => Way::OneByOne,
        };
        if self.one_by_one.least() <= FAST || now < self.try_at {
            return self.best;
        }
        self.try_at = now + TRY_EVERY;
        self.best.other()
    }

    /// Of the way that batches now go.
    fn times(&mut self) -> &mut Times {
        match self.way {
            Way::OneByOne => &mut self.one_by_one,
            Way::AtOnce => &mut self.at_once,
        }
    }
}

impl Measured {
    /// Answers what a message took, once there are enough in large batches.
    fn add(&mut self, now: Instant, batch: Stored) -> Option<Duration> {
        let since = self.busy_since?;
        // Begun before, as others were under way then: its time is only counted in part.
        if batch.sent_at >= since {
            self.messages += u32::try_from(batch.messages).unwrap_or(u32::MAX);
            self.batches += 1;
        }
        if batch.is_last {
            self.busy += now - since;
            self.busy_since = None;
        }
        if self.messages < MEASURED {
            return None;
        }
        let going_on = self.busy_since.map_or(Duration::ZERO, |since| now - since);
        let time = (self.busy + going_on) / self.messages;
        let are_large = self.messages >= LARGE * self.batches;
        *self = Self {
            busy_since: self.busy_since.map(|_| now),
            ..Self::default()
        };
        are_large.then_some(time)
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        if self.is_known() {
            self.0.pop_front();
        }
        self.0.push_back(time);
    }

    fn is_known(&self) -> bool {
        self.0.len() == REMEMBERED
    }

    fn least(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a batch takes: for each message, and once.
    struct Server {
        one_by_one_us: u64,
        at_once_us: u64,
        once_us: u64,
    }

    const SYNCING: Server = Server {
        one_by_one_us: 200,
        at_once_us: 15,
        once_us: 300,
    };
    const PLAIN: Server = Server {
        one_by_one_us: 10,
        at_once_us: 30,
        once_us: 150,
    };
    /// With much else to do.
    const BUSY: Server = Server {
        one_by_one_us: 400,
        at_once_us: 500,
        once_us: 2_000,
    };

    impl Server {
        fn time(&self, way: Way, messages: usize) -> Duration {
            let each = match way {
                Way::OneByOne => self.one_by_one_us,
                Way::AtOnce => self.at_once_us,
            };
            Duration::from_micros(self.once_us + each * messages as u64)
        }
    }

    /// A writer with a server, which is sent batches of so many messages.
    struct Sent {
        now: Instant,
        ways: Ways,
        sizes: [usize; 3],
        /// The batches that have gone each way.
        one_by_one: usize,
        at_once: usize,
    }

    impl Sent {
        fn new(sizes: [usize; 3]) -> Self {
            let now = Instant::now();
            Self {
                now,
                ways: Ways::new(now),
                sizes,
                one_by_one: 0,
                at_once: 0,
            }
        }

        /// A batch after the other, with a pause between two.
        fn alone(&mut self, seconds: u64, server: &Server) {
            self.send(seconds, server, |_| true, Duration::from_millis(1));
        }

        /// The next one before the last one is answered, and two answers at a time.
        fn together(&mut self, seconds: u64, server: &Server) {
            self.send(seconds, server, |number| number % 50 == 49, Duration::ZERO);
        }

        fn send(
            &mut self,
            seconds: u64,
            server: &Server,
            is_last: impl Fn(usize) -> bool,
            pause: Duration,
        ) {
            (self.one_by_one, self.at_once) = (0, 0);
            let end = self.now + Duration::from_secs(seconds);
            let mut sent_at = self.now;
            for number in 0.. {
                if self.now >= end {
                    return;
                }
                let messages = self.sizes[number % 3];
                let way = self.ways.send(sent_at, messages);
                match way {
                    Way::OneByOne => self.one_by_one += 1,
                    Way::AtOnce => self.at_once += 1,
                }
                let answered_at = self.now + server.time(way, messages);
                let stored = Stored {
                    way,
                    sent_at,
                    messages,
                    is_last: is_last(number),
                };
                self.ways.stored(answered_at, stored);
                // What comes next is under way before this is answered, unless it goes another way.
                let waits = stored.is_last || self.ways.way() != way;
                sent_at = match waits {
                    true => answered_at + pause,
                    false => self.now,
                };
                self.now = if waits { sent_at } else { answered_at };
            }
        }
    }

    #[test]
    fn a_server_that_syncs_is_found_out_and_one_that_does_not_is_not_asked() {
        for sizes in [[128, 256, 200], [32, 40, 50]] {
            for way in [Sent::together, Sent::alone] {
                let mut sent = Sent::new(sizes);
                way(&mut sent, 30, &SYNCING);
                assert!(sent.one_by_one < 60, "{sizes:?}: {}", sent.one_by_one);
                assert!(sent.at_once > 1_000, "{sizes:?}: {}", sent.at_once);
                let mut sent = Sent::new(sizes);
                way(&mut sent, 100, &PLAIN);
                assert_eq!(sent.at_once, 0, "{sizes:?}");
            }
        }
    }

    #[test]
    fn a_busy_server_is_tried_now_and_then() {
        let mut sent = Sent::new([128, 256, 200]);
        sent.together(600, &BUSY);
        assert!((10..60).contains(&sent.at_once), "{}", sent.at_once);
    }

    #[test]
    fn a_server_that_has_changed_is_found_out() {
        let mut sent = Sent::new([128, 256, 200]);
        sent.together(10, &SYNCING);
        sent.together(61, &PLAIN);
        sent.together(100, &PLAIN);
        assert_eq!(sent.at_once, 0);
        sent.together(61, &SYNCING);
        sent.together(30, &SYNCING);
        assert!(sent.one_by_one < 3, "{}", sent.one_by_one);
    }

    #[test]
    fn what_is_refused_goes_one_by_one() {
        let mut sent = Sent::new([128, 256, 200]);
        sent.together(10, &SYNCING);
        assert_eq!(sent.ways.way(), Way::AtOnce);
        sent.ways.refused();
        sent.together(10, &SYNCING);
        assert_eq!(sent.at_once, 0);
    }

    #[test]
    fn small_batches_tell_nothing_and_go_one_by_one() {
        let mut sent = Sent::new([128, 256, 200]);
        sent.together(10, &SYNCING);
        assert_eq!(sent.ways.way(), Way::AtOnce);
        sent.sizes = [1, 30, 12];
        sent.alone(100, &SYNCING);
        assert_eq!(sent.at_once, 0);
        sent.sizes = [128, 256, 200];
        sent.alone(10, &SYNCING);
        assert!(sent.one_by_one < 3, "{}", sent.one_by_one);

        for server in [SYNCING, PLAIN, BUSY] {
            let mut sent = Sent::new([1, 30, 12]);
            sent.alone(100, &server);
            sent.together(100, &server);
            assert_eq!(sent.at_once, 0);
        }
    }

    #[test]
    fn a_machine_that_stands_still_changes_nothing() {
        let mut sent = Sent::new([128, 256, 200]);
        sent.together(10, &PLAIN);
        let still = Server {
            one_by_one_us: 10_000,
            ..PLAIN
        };
        for _ in 0..REMEMBERED - 1 {
            sent.together(1, &still);
            assert_eq!((sent.one_by_one, sent.at_once), (1, 0));
        }
        sent.together(100, &PLAIN);
        assert_eq!(sent.at_once, 0);
    }
}
