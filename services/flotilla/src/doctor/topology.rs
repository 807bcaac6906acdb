//! Streams and consumers against what this version wants, by these settings.

use std::time::Duration;

use flotilla_common::broker::Deviation;

use super::finding::Finding;
use super::{Patient, unseen};

/// A worker that dies holds its tasks for so long.
const LEASE_LONG: Duration = Duration::from_secs(300);
/// A pause of a process, or of a network, is often as long.
const LEASE_SHORT: Duration = Duration::from_secs(5);

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let mut findings = match patient.broker.deviations(&patient.limits).await {
        Ok(deviations) => drift(&deviations, patient.limits.ack_wait),
        Err(error) => vec![unseen("topology", &error)],
    };
    findings.push(lease(patient.limits.ack_wait));
    match patient.broker.foreign_consumers().await {
        Ok(foreign) => findings.extend(foreign.iter().map(|name| {
            Finding::error("consumers", format!("{name} is none of the fleet's, and takes tasks out of the queue"))
                .remedy("remove it (nats consumer rm); to look at tasks without taking them use the record stream RESULTS")
        })),
        // What is missing has been told.
        Err(error) => tracing::debug!(%error, "no look at the consumers"),
    }
    findings
}

fn drift(deviations: &[Deviation], ack_wait: Duration) -> Vec<Finding> {
    if deviations.is_empty() {
        return vec![Finding::ok(
            "topology",
            "streams and consumers are as this version wants them",
        )];
    }
    let (missing, differing): (Vec<_>, Vec<_>) = deviations
        .iter()
        .partition(|deviation| deviation.settings.is_empty());
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let names: Vec<&str> = missing
            .iter()
            .map(|deviation| deviation.what.as_str())
            .collect();
        findings.push(
            Finding::error("topology", format!("missing: {}", names.join(", ")))
                .remedy("start any service of the fleet: it makes what is missing; tasks of a deleted stream are gone with it"),
        );
    }
    findings.extend(
        differing
            .into_iter()
            .map(|deviation| differs(deviation, ack_wait)),
    );
    findings
}

fn differs(deviation: &Deviation, ack_wait: Duration) -> Finding {
    let settings = deviation.settings.iter();
    let settings: Vec<String> = settings
        .map(|s| format!("{} is {}, wanted {}", s.name, s.found, s.wanted))
        .collect();
    let what = format!("{}: {}", deviation.what, settings.join("; "));
    let lease = deviation
        .settings
        .iter()
        .find(|setting| setting.name == "ack_wait");
    let lease = lease.and_then(|setting| parse(&setting.found));
    // Leases are renewed three times within the wanted one.
    if lease.is_some_and(|lease| lease <= ack_wait / 3) {
        return Finding::error("ack_wait", format!("{what}: workers renew every {:?}, too late, so that every longer task is run twice", ack_wait / 3))
            .remedy("restart a service with these settings, which corrects it, or set streams.ack_wait to what the server has");
    }
    Finding::warning("topology", what)
        .remedy("a service that starts with these settings changes it where the server allows; otherwise make the settings and the server agree")
}

/// As `Duration` shows itself, in whole units.
fn parse(shown: &str) -> Option<Duration> {
    flotilla_common::model::duration::parse(shown).ok()
}

fn lease(ack_wait: Duration) -> Finding {
    let what = format!("streams.ack_wait is {ack_wait:?}");
    if ack_wait < LEASE_SHORT {
        return Finding::warning(
            "ack_wait",
            format!("{what}: a pause of a worker that is as long has its tasks run twice"),
        )
        .remedy("use 10s or more outside of tests");
    }
    if ack_wait > LEASE_LONG {
        return Finding::warning("ack_wait", format!("{what}: for so long nobody takes over from a worker that died"))
            .remedy("use a minute or less: workers renew the lease of long tasks, so that it need not be as long as they are");
    }
    Finding::ok(
        "ack_wait",
        format!("{what}: tasks of a worker that died go on after that, and longer ones renew it"),
    )
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::Setting;

    use super::*;
    use crate::doctor::finding::Severity;

    fn consumer(name: &str, found: &str) -> Deviation {
        Deviation {
            what: "consumer query_normal".to_owned(),
            settings: vec![Setting {
                name: name.to_owned(),
                found: found.to_owned(),
                wanted: "x".to_owned(),
            }],
        }
    }

    #[test]
    fn a_lease_that_ends_before_it_is_renewed_is_an_error() {
        let thirty = Duration::from_secs(30);
        let severity = |deviation| drift(&[deviation], thirty)[0].severity;
        assert_eq!(severity(consumer("ack_wait", "5s")), Severity::Error);
        assert_eq!(severity(consumer("ack_wait", "25s")), Severity::Warning);
        assert_eq!(severity(consumer("max_deliver", "5")), Severity::Warning);
        assert_eq!(drift(&[], thirty)[0].severity, Severity::Ok);
        assert_eq!(lease(Duration::from_secs(2)).severity, Severity::Warning);
        assert_eq!(lease(Duration::from_secs(900)).severity, Severity::Warning);
    }
}
