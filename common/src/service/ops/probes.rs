//! What the probes say. Pure.
//!
//! - alive: the event loop beats. The broker is no part of it: an outage must not restart a fleet.
//! - ready: every service of the process is connected and has its consumers bound, and the
//!   process does not drain.
//! - started: every service has ensured its streams and consumers. That stays so.

use std::time::Duration;

use super::super::readiness::Stage;

/// What is wrong, in sentences; nothing where all is well.
pub(super) type Wrong = Vec<String>;

pub(super) fn alive(beat_age: Duration, stuck_after: Duration) -> Wrong {
    if beat_age < stuck_after {
        return Wrong::new();
    }
    vec![format!(
        "the event loop has not beaten for {} seconds: something blocks its threads",
        beat_age.as_secs()
    )]
}

pub(super) fn ready(
    services: &[(&'static str, Stage)],
    expected: usize,
    is_draining: bool,
) -> Wrong {
    let mut wrong = below(services, expected, Stage::Ready);
    if is_draining {
        wrong.insert(0, "the process drains, and is about to end".to_owned());
    }
    wrong
}

pub(super) fn started(services: &[(&'static str, Stage)], expected: usize) -> Wrong {
    below(services, expected, Stage::Started)
}

fn below(services: &[(&'static str, Stage)], expected: usize, stage: Stage) -> Wrong {
    let late = services.iter().filter(|(_, at)| *at < stage);
    let mut wrong: Wrong = late.map(|(name, at)| format!("{name} {at}")).collect();
    let missing = expected.saturating_sub(services.len());
    if missing > 0 {
        wrong.push(format!(
            "{missing} of {expected} services have not begun, or have ended"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_who_is_connected_bound_and_stays() {
        let all = |gateway, query| [("gateway", gateway), ("query", query)];
        assert!(ready(&all(Stage::Ready, Stage::Ready), 2, false).is_empty());
        assert_eq!(ready(&all(Stage::Ready, Stage::Ready), 2, true).len(), 1);
        assert_eq!(ready(&all(Stage::Ready, Stage::Ready), 3, false).len(), 1);
        assert_eq!(ready(&[], 1, false).len(), 1);
        for (stage, is_started) in [
            (Stage::Starting, false),
            (Stage::Started, true),
            (Stage::Disconnected, true),
        ] {
            let services = all(Stage::Ready, stage);
            let wrong = ready(&services, 2, false);
            assert!(
                wrong.len() == 1 && wrong[0].starts_with("query "),
                "{wrong:?}"
            );
            assert_eq!(started(&services, 2).is_empty(), is_started, "{stage:?}");
        }
    }

    #[test]
    fn alive_is_whose_loop_beats() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(alive(second, minute).is_empty());
        assert!(alive(minute, second)[0].contains("60 seconds"));
    }
}
