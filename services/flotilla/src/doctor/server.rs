//! The nats-server: its version and limits, what is promised to streams, room on the disk.

use std::path::Path;
use std::time::Duration;

use flotilla_common::broker::{self, Account, Broker, Server};
use flotilla_remote::http;
use serde_json::Value;
use url::Url;

use super::finding::Finding;
use super::{Patient, unseen};
use crate::terminal::bytes;

const MONITOR_PORT: u16 = 8222;
const MONITOR_TIME_MAX: Duration = Duration::from_secs(2);
const MONITOR_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// A dead letter adds the history to its task.
const LETTER_ROOM: usize = 64 * 1_024;
/// A disk with less is about to be full.
const DISK_FREE_MIN: u64 = 1_024 * 1_024 * 1_024;

/// The server's own report, and who gave it.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) varz: Value,
}

impl About {
    /// From the monitoring port, or from the system account, or, for a server that `flotilla up`
    /// started on this machine, from its configuration.
    pub(super) async fn read(
        broker: &Broker,
        connection: &broker::Config,
        monitor: Option<&str>,
    ) -> Option<Self> {
        let server = broker.server();
        let guessed = monitor_of(connection);
        if let Some(url) = monitor.map(str::to_owned).or(guessed)
            && let Some(varz) = varz(&url).await
            // On port 8222 of that host another server may listen.
            && (monitor.is_some() || varz["server_name"] == server.name.as_str())
        {
            return Some(Self { varz });
        }
        if let Some(varz) = broker.about_server().await {
            return Some(Self { varz });
        }
        embedded(&server.name).map(|varz| Self { varz })
    }

    pub(super) fn jetstream(&self, name: &str) -> &Value {
        &self.varz["jetstream"]["config"][name]
    }
}

fn monitor_of(connection: &broker::Config) -> Option<String> {
    let first: Url = connection.url.split(',').next()?.trim().parse().ok()?;
    Some(format!("http://{}:{MONITOR_PORT}", first.host_str()?))
}

async fn varz(url: &str) -> Option<Value> {
    let client = http::builder(MONITOR_TIME_MAX)
        .ok()?
        .timeout(MONITOR_TIME_MAX)
        .build()
        .ok()?;
    let url = format!("{}/varz", url.trim_end_matches('/'));
    let answer = client.get(url).send().await.ok()?;
    let body = http::read(answer, MONITOR_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// A server that `flotilla up` has started is named after its data directory.
fn embedded(name: &str) -> Option<Value> {
    let dir = Path::new(name.strip_prefix("flotilla:")?);
    let text = std::fs::read_to_string(dir.join("nats-server.conf")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("sync_interval:"))?;
    let interval = line.trim().trim_matches('"');
    let nanos = flotilla_common::model::duration::parse(interval).ok();
    Some(serde_json::json!({"jetstream": {"config": {
        "store_dir": dir, "sync_always": interval == "always",
        "sync_interval": nanos.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
    }}}))
}

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let server = patient.broker.server();
    let mut findings = vec![version(&server)];
    if !server.has_jetstream {
        findings.push(
            Finding::error("jetstream", "JetStream is off: no stream, no task").remedy(
                "start nats-server with -js, or with a jetstream block in its configuration",
            ),
        );
        return findings;
    }
    let task_max = usize::try_from(patient.limits.task_bytes_max).unwrap_or(usize::MAX);
    findings.push(payload(server.payload_bytes_max, task_max));
    match patient.broker.account().await {
        Ok(account) => findings.push(storage(&account, patient.about.as_ref())),
        Err(error) => findings.push(unseen("storage", &error)),
    }
    findings.extend(patient.about.as_ref().and_then(disk));
    findings
}

/// An older one is refused at the connection.
fn version(server: &Server) -> Finding {
    let cluster = match &server.cluster {
        Some(cluster) => format!(", in the cluster {cluster}"),
        None => String::new(),
    };
    Finding::ok(
        "version",
        format!("nats-server {}{cluster}", server.version),
    )
}

fn payload(server_max: usize, task_max: usize) -> Finding {
    let (server, task) = (bytes(server_max as u64), bytes(task_max as u64));
    if task_max + LETTER_ROOM <= server_max {
        return Finding::ok(
            "max_payload",
            format!("messages of {server}, tasks of {task}"),
        );
    }
    let what = format!(
        "the server takes messages of {server}, and streams.task_bytes_max is {task}: a task near that limit cannot become a dead letter, which adds its history"
    );
    let remedy = "raise max_payload of the nats-server, or lower streams.task_bytes_max, so that 64 KiB are between them";
    match task_max > server_max {
        true => Finding::error("max_payload", what).remedy(remedy),
        false => Finding::warning("max_payload", what).remedy(remedy),
    }
}

fn storage(account: &Account, about: Option<&About>) -> Finding {
    let server_max = about.and_then(|about| about.jetstream("max_storage").as_u64());
    let server_max = server_max.filter(|max| *max > 0);
    let max = match (account.storage_bytes_max, server_max) {
        (Some(account), Some(server)) => Some(account.min(server)),
        (account, server) => account.or(server),
    };
    let (used, reserved) = (bytes(account.storage_bytes), bytes(account.reserved_bytes));
    let Some(max) = max else {
        return Finding::ok(
            "storage",
            format!(
                "{used} are used, {reserved} promised to streams, without a limit of the account's"
            ),
        );
    };
    let what = format!(
        "{used} are used and {reserved} promised to streams, of {}",
        bytes(max)
    );
    if account.storage_bytes.saturating_mul(10) >= max.saturating_mul(9) {
        return Finding::error(
            "storage",
            format!("{what}: submissions are about to be refused"),
        )
        .remedy("raise max_file_store of the nats-server, or what the account may store");
    }
    if account.reserved_bytes > max {
        return Finding::warning("storage", format!("{what}: more is promised than there is"))
            .remedy("raise max_file_store, or lower the limits in [streams]: a stream that is made anew may be refused");
    }
    Finding::ok("storage", what)
}

/// Only where the store is on this machine.
fn disk(about: &About) -> Option<Finding> {
    let dir = about.jetstream("store_dir").as_str()?;
    let stat = rustix::fs::statvfs(dir).ok()?;
    let (free, total) = (stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize);
    Some(judge_disk(dir, free, total))
}

fn judge_disk(dir: &str, free: u64, total: u64) -> Finding {
    let what = format!("{} of {} are free at {dir}", bytes(free), bytes(total));
    let remedy = "free space there, or move the store_dir of the nats-server: at a full disk nothing is taken any more";
    match free {
        _ if free < DISK_FREE_MIN => Finding::error("disk", what).remedy(remedy),
        _ if free.saturating_mul(10) < total => Finding::warning("disk", what).remedy(remedy),
        _ => Finding::ok("disk", what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    const GIB: u64 = 1_024 * 1_024 * 1_024;

    #[test]
    fn limits_are_judged() {
        let mib = 1_024 * 1_024;
        assert_eq!(payload(mib, 960 * 1_024).severity, Severity::Ok);
        assert_eq!(payload(mib, mib).severity, Severity::Warning);
        assert_eq!(payload(mib / 2, mib).severity, Severity::Error);

        let account = |used, reserved| Account {
            storage_bytes: used,
            reserved_bytes: reserved,
            storage_bytes_max: Some(10 * GIB),
        };
        assert_eq!(storage(&account(1, 9 * GIB), None).severity, Severity::Ok);
        assert_eq!(
            storage(&account(1, 11 * GIB), None).severity,
            Severity::Warning
        );
        assert_eq!(
            storage(&account(9 * GIB, 1), None).severity,
            Severity::Error
        );

        assert_eq!(judge_disk("d", 50 * GIB, 100 * GIB).severity, Severity::Ok);
        assert_eq!(
            judge_disk("d", 5 * GIB, 100 * GIB).severity,
            Severity::Warning
        );
        assert_eq!(
            judge_disk("d", GIB / 2, 100 * GIB).severity,
            Severity::Error
        );
    }
}
