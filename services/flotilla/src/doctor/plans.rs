//! Whether what was scheduled happens.

use std::time::Duration;

use flotilla_common::broker::Overdue;
use jiff::Timestamp;

use super::finding::Finding;
use super::{Patient, unseen};

/// Schedules fire up to a quarter of a second late.
const SLACK: Duration = Duration::from_secs(30);

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    // By the server's own clock: that is what schedules go by.
    let now = match patient.broker.server_clock().await {
        Ok(clock) => Timestamp::now() + clock.ahead,
        Err(error) => return vec![unseen("schedules", &error)],
    };
    match patient.broker.overdue(now, SLACK).await {
        Ok(overdue) => judge(&overdue),
        Err(error) => vec![unseen("schedules", &error)],
    }
}

fn judge(overdue: &Overdue) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(since) = overdue.stuck_since {
        findings.push(
            Finding::error("schedules", format!("tasks that fired wait since {since} to get into their queue"))
                .remedy("the queue is full, or its stream does not source SCHED any more: see 'flotilla queues list' and the topology above"),
        );
    }
    if let Some((id, at)) = &overdue.unfired {
        findings.push(
            Finding::error("schedules", format!("{id} was to be queued at {at}, and has not fired"))
                .remedy("see the log of the nats-server: its scheduler stands still; a restart starts it anew"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok("schedules", "nothing is overdue"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn what_is_late_is_told() {
        let overdue = Overdue {
            stuck_since: Some(Timestamp::UNIX_EPOCH),
            unfired: Some(("nightly".to_owned(), Timestamp::UNIX_EPOCH)),
        };
        let told = judge(&overdue);
        assert!(
            told.iter()
                .all(|finding| finding.severity == Severity::Error)
        );
        assert!(told[1].message.contains("nightly"));
        assert_eq!(judge(&Overdue::default())[0].severity, Severity::Ok);
    }
}
