//! Users and permissions in the words of a nats-server's configuration: an account for the fleet,
//! and one for those outside, which reaches into the fleet's where the table of roles says so.

use std::collections::BTreeSet;
use std::fmt::Write;

use flotilla_common::broker::{Answers, OUTSIDE_API, Role};
use flotilla_common::model::Category;

use super::users::User;

const HEAD: &str = "\
# Who may what on the nats-server of a fleet: made by `flotilla nats config` from the table that
# the code goes by. Not to be edited: make it again, with --user for users of your own.
# keys.conf, beside it, has the users' public keys: made by `flotilla nats keys`.
include \"keys.conf\"

accounts {
";
const FLEET: &str = "\
  # The fleet's own users, and its streams.
  FLEET {
    jetstream: enabled
    users: [
";
const OUTSIDE: &str = "\
  # All others. What they ask for is answered to them and to nobody else: within one account the
  # broker would send its answer to any subject that the question names, and so store it there.
  OUTSIDE {
    users: [
";

pub(super) fn of(users: &[User]) -> String {
    let (outside, fleet): (Vec<&User>, Vec<&User>) =
        users.iter().partition(|user| user.is_outside());
    let open = Open::new();
    let mut text = format!("{HEAD}{FLEET}");
    text.extend(fleet.into_iter().map(section));
    let exported = [
        open.calls
            .iter()
            .map(|call| Open::exported_call(call))
            .collect::<String>(),
        open.feeds
            .iter()
            .map(|feed| Open::exported_feed(feed))
            .collect(),
    ];
    let _ = write!(
        text,
        "    ]\n    exports: [\n{}    ]\n  }}\n",
        exported.concat()
    );
    text += OUTSIDE;
    text.extend(outside.into_iter().map(section));
    let imported = [
        open.calls
            .iter()
            .map(|call| Open::imported_call(call))
            .collect::<String>(),
        open.feeds
            .iter()
            .map(|feed| Open::imported_feed(feed))
            .collect(),
    ];
    let _ = write!(
        text,
        "    ]\n    imports: [\n{}    ]\n  }}\n}}\n",
        imported.concat()
    );
    text
}

/// What any outsider may be allowed; each user's permissions say which of it.
struct Open {
    calls: BTreeSet<String>,
    feeds: BTreeSet<String>,
}

impl Open {
    fn new() -> Self {
        let of_one = Category::all().flat_map(|category| {
            [
                Role::Publisher(Some(category)),
                Role::Reader(Some(category)),
            ]
        });
        let roles = Role::all().into_iter().chain(of_one);
        let (mut calls, mut feeds) = (BTreeSet::new(), BTreeSet::new());
        for role in roles.filter(|role| role.is_outside()) {
            let grants = role.grants();
            calls.extend(grants.publish);
            feeds.extend(grants.subscribe);
        }
        // What is imported twice comes twice.
        let widest = feeds.clone();
        feeds.retain(|feed| !widest.iter().any(|wide| wide != feed && covers(wide, feed)));
        Self { calls, feeds }
    }

    /// There may be several answers: of several services, or of a batch.
    fn exported_call(call: &str) -> String {
        let subject = call.replace(OUTSIDE_API, "$JS.API");
        format!("      {{ service: {subject:?}, accounts: [OUTSIDE], response_type: stream }}\n")
    }

    fn exported_feed(feed: &str) -> String {
        format!("      {{ stream: {feed:?}, accounts: [OUTSIDE] }}\n")
    }

    fn imported_call(call: &str) -> String {
        let subject = call.replace(OUTSIDE_API, "$JS.API");
        let to = match subject == call {
            true => String::new(),
            false => format!(", to: {call:?}"),
        };
        format!("      {{ service: {{ account: FLEET, subject: {subject:?} }}{to} }}\n")
    }

    fn imported_feed(feed: &str) -> String {
        format!("      {{ stream: {{ account: FLEET, subject: {feed:?} }} }}\n")
    }
}

/// Whether all that one pattern takes is taken by another, of as many tokens.
fn covers(wide: &str, narrow: &str) -> bool {
    let (wide, narrow) = (wide.split('.'), narrow.split('.'));
    wide.clone().count() == narrow.clone().count()
        && wide
            .zip(narrow)
            .all(|(wide, narrow)| wide == "*" || wide == narrow)
}

fn section(user: &User) -> String {
    let grants = user.grants();
    let mut text = String::new();
    for role in &user.roles {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "      # {role}: {}", role.purpose());
    }
    let _ = writeln!(text, "      {{\n        nkey: ${}", user.variable());
    text += "        permissions: {\n";
    text += &allowed("publish", &grants.publish);
    text += &allowed("subscribe", &grants.subscribe);
    // To the inbox that a question names.
    text += match grants.answers {
        Answers::Never => "",
        Answers::Once => "          allow_responses: { max: 1, expires: \"10m\" }\n",
        // An attempt runs for 24 hours at most.
        Answers::AsItGoes => "          allow_responses: { max: -1, expires: \"25h\" }\n",
    };
    text += "        }\n      }\n";
    text
}

fn allowed(verb: &str, subjects: &BTreeSet<String>) -> String {
    // With no list at all, everything would be allowed.
    let mut text = format!("          {verb}: {{ allow: [\n");
    for subject in subjects {
        let _ = writeln!(text, "            {subject:?}");
    }
    text += "          ] }\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outsiders_reach_what_their_roles_name_and_each_once() {
        let open = Open::new();
        assert!(open.calls.contains("tasks.query.low.*"));
        assert!(open.feeds.contains("outcomes.*.*"));
        assert!(!open.feeds.contains("outcomes.query.*"));
        assert!(!open.calls.iter().any(|call| call.starts_with("results")));
        assert_eq!(
            Open::imported_call("FLEET.API.STREAM.NAMES").trim(),
            r#"{ service: { account: FLEET, subject: "$JS.API.STREAM.NAMES" }, to: "FLEET.API.STREAM.NAMES" }"#
        );
    }
}
