//! What a power cut may cost: how often the server writes through to the disk, and how many
//! servers have each message.

use std::time::Duration;

use super::Patient;
use super::finding::Finding;

/// When a server writes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    Always,
    Every(Duration),
    Unknown,
}

pub(super) fn check(patient: &Patient) -> Option<Finding> {
    let server = patient.broker.server();
    let sync = match &patient.about {
        None => Sync::Unknown,
        Some(about) if about.jetstream("sync_always") == true => Sync::Always,
        Some(about) => match about.jetstream("sync_interval").as_u64() {
            Some(nanos) => Sync::Every(Duration::from_nanos(nanos)),
            None => Sync::Unknown,
        },
    };
    server
        .has_jetstream
        .then(|| judge(sync, patient.limits.replicas))
}

fn judge(sync: Sync, replicas: usize) -> Finding {
    let remedy = "set sync_interval: always in the jetstream block of the nats-server, or have three of them and streams.replicas = 3";
    match (sync, replicas) {
        (Sync::Always, _) => Finding::ok(
            "fsync",
            "every message is on the disk before it is acknowledged: the promise holds through a power cut",
        ),
        (Sync::Every(interval), 1) => Finding::warning(
            "fsync",
            format!("the server writes through every {interval:?}, and has the only copy: a power cut costs what was accepted since (a crash of the server alone costs nothing)"),
        )
        .remedy(remedy),
        (Sync::Every(interval), n) => Finding::note(
            "fsync",
            format!("each of {n} servers writes through every {interval:?}: only a power cut of a majority at once costs what was accepted since"),
        ),
        (Sync::Unknown, _) => Finding::note(
            "fsync",
            "it could not be read how often the server writes through; by default it is every two minutes, which a power cut can cost",
        )
        .remedy("give the monitoring port with --monitor (http: 8222 in the server's configuration; kubectl port-forward to its pod)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn one_copy_that_is_written_late_is_a_risk() {
        let every = Sync::Every(Duration::from_secs(120));
        assert_eq!(judge(Sync::Always, 1).severity, Severity::Ok);
        assert_eq!(judge(every, 1).severity, Severity::Warning);
        assert_eq!(judge(every, 3).severity, Severity::Note);
        assert!(
            judge(Sync::Unknown, 1)
                .message
                .contains("could not be read")
        );
    }
}
