//! Whether these credentials let the fleet do its work.

use std::collections::BTreeMap;

use flotilla_common::broker::{Permission, missing_permissions};

use super::finding::Finding;
use super::{Patient, unseen};

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    match missing_permissions(&patient.connection).await {
        Ok(missing) => judge(&missing),
        Err(error) => vec![unseen("permissions", &error)],
    }
}

/// One finding for each role.
fn judge(missing: &[Permission]) -> Vec<Finding> {
    if missing.is_empty() {
        return vec![Finding::ok(
            "permissions",
            "these credentials may do all that the fleet does",
        )];
    }
    let mut by_role: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for permission in missing {
        let verb = if permission.is_subscription {
            "subscribe to"
        } else {
            "publish"
        };
        let what = format!(
            "{verb} {}",
            permission.subject.replace("flotilla-doctor", "*")
        );
        by_role.entry(permission.role).or_default().push(what);
    }
    let finding = |(role, what): (&str, Vec<String>)| {
        Finding::error("permissions", format!("{role}: not allowed to {}", what.join(", ")))
            .remedy("allow it to the user of these credentials; if the services have others, run this with theirs (--config, [nats])")
    };
    by_role.into_iter().map(finding).collect()
}
