//! Clocks against each other: breakers, deadlines and estimates compare times across processes.

use std::time::Duration;

use jiff::SignedDuration;

use super::finding::Finding;
use super::{Patient, unseen};

/// ARCHITECTURE.md asks for it.
const SKEW_MAX: Duration = Duration::from_secs(1);
/// Breakers open and close at the wrong times, deadlines pass early.
const SKEW_BAD: Duration = Duration::from_secs(10);

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    match patient.broker.server_clock().await {
        Ok(clock) => vec![judge(
            "the nats-server's clock",
            clock.ahead,
            clock.uncertainty,
        )],
        Err(error) => vec![unseen("clock", &error)],
    }
}

/// Of somebody's clock against ours.
pub(super) fn judge(whose: &str, ahead: SignedDuration, uncertainty: Duration) -> Finding {
    let skew = ahead.unsigned_abs().saturating_sub(uncertainty);
    let which = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let what = format!("{whose} is {:.1?} {which} ours", ahead.unsigned_abs());
    let remedy = "keep all machines within a second of each other, by NTP or chrony";
    match skew {
        s if s > SKEW_BAD => Finding::error("clock", what).remedy(remedy),
        s if s > SKEW_MAX => Finding::warning("clock", what).remedy(remedy),
        _ => Finding::ok("clock", format!("{whose} agrees with ours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_second_is_allowed_and_what_cannot_be_told_is_none() {
        let of = |millis, uncertain| {
            let ahead = SignedDuration::from_millis(millis);
            judge("it", ahead, Duration::from_millis(uncertain)).severity
        };
        assert_eq!(of(900, 0), Severity::Ok);
        assert_eq!(of(-1_500, 0), Severity::Warning);
        assert_eq!(of(-1_500, 700), Severity::Ok);
        assert_eq!(of(60_000, 10), Severity::Error);
        assert!(
            judge("it", SignedDuration::from_secs(-9), Duration::ZERO)
                .message
                .contains("behind ours")
        );
    }
}
