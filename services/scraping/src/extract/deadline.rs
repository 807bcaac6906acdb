//! When an extraction has to have ended. It cannot be stopped from outside, so each loop that
//! looks into what is below or beside its elements asks: one step takes no longer than the page
//! is large, all of them may take its square.

use std::time::{Duration, Instant};

use super::Error;

/// A page of 5 MB takes well under a second. What takes longer was made to.
pub(super) const TIME_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn start() -> Self {
        Self::within(TIME_MAX)
    }

    pub(super) fn within(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    pub(super) fn check(self) -> Result<(), Error> {
        match Instant::now() <= self.0 {
            true => Ok(()),
            false => Err(Error::Time),
        }
    }

    #[cfg(test)]
    pub(super) fn over() -> Self {
        Self(Instant::now() - Duration::from_nanos(1))
    }
}
