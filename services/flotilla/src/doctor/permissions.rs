//! Whether these credentials let the fleet do its work.

use std::collections::BTreeMap;

use flotilla_common::broker::{Config, Permission, Role, missing_permissions};

use super::finding::Finding;
use super::unseen;

/// Of one role where the credentials are of one, and else of all that the fleet consists of.
pub(super) async fn check(connection: &Config, asked: &[Role]) -> Vec<Finding> {
    let roles = match (asked, connection.role) {
        ([], Some(role)) => vec![role],
        ([], None) => of_the_fleet(),
        (asked, _) => asked.to_vec(),
    };
    match missing_permissions(connection, &roles).await {
        Ok(missing) => judge(&missing, &roles),
        Err(error) => vec![unseen("permissions", &error)],
    }
}

/// Those that `flotilla up` needs together, and whoever submits to it.
fn of_the_fleet() -> Vec<Role> {
    let is_part = |role: &Role| !matches!(role, Role::Monitor | Role::Admin | Role::Operator);
    Role::all().into_iter().filter(is_part).collect()
}

/// One finding for each role.
fn judge(missing: &[Permission], roles: &[Role]) -> Vec<Finding> {
    if missing.is_empty() {
        let what = match roles {
            [role] => format!("these credentials may do all that role {role} does"),
            _ => "these credentials may do all that the fleet does".to_owned(),
        };
        return vec![Finding::ok("permissions", what)];
    }
    let mut by_role: BTreeMap<Role, Vec<String>> = BTreeMap::new();
    for permission in missing {
        let verb = if permission.is_subscription {
            "subscribe to"
        } else {
            "publish"
        };
        for role in &permission.roles {
            let what = format!("{verb} {}", permission.subject);
            by_role.entry(*role).or_default().push(what);
        }
    }
    let finding = |(role, what): (Role, Vec<String>)| {
        Finding::error("permissions", format!("role {role}: not allowed to {}", what.join(", ")))
            .remedy("`flotilla nats config` prints what each role needs; for credentials of one role, say which: --role, or nats.role in --config")
    };
    by_role.into_iter().map(finding).collect()
}
