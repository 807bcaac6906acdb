//! Users and permissions in the words of a nats-server's configuration.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::users::User;

const HEAD: &str = "\
# Who may what on the nats-server of a fleet: made by `flotilla nats config` from the table that
# the code goes by. Not to be edited: make it again, with --user for users of your own.
# keys.conf, beside it, has the users' public keys: made by `flotilla nats keys`.
include \"keys.conf\"

authorization {
  users = [
";

pub(super) fn of(users: &[User]) -> String {
    let mut text = HEAD.to_owned();
    for user in users {
        text += &section(user);
    }
    text += "  ]\n}\n";
    text
}

fn section(user: &User) -> String {
    let grants = user.grants();
    let mut text = String::new();
    for role in &user.roles {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    # {}: {role} {}", user.name, role.purpose());
    }
    let _ = writeln!(text, "    {{\n      nkey: ${}", user.variable());
    text += "      permissions: {\n";
    text += &allowed("publish", &grants.publish);
    text += &allowed("subscribe", &grants.subscribe);
    if grants.answers {
        text += "        # To the inbox that a question names, once.\n";
        text += "        allow_responses: { max: 1, expires: \"10m\" }\n";
    }
    text += "      }\n    }\n";
    text
}

fn allowed(verb: &str, subjects: &BTreeSet<String>) -> String {
    // With no list at all, everything would be allowed.
    let mut text = format!("        {verb}: {{ allow: [\n");
    for subject in subjects {
        let _ = writeln!(text, "          {subject:?}");
    }
    text += "        ] }\n";
    text
}
