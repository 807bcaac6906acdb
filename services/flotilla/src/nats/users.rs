//! The users of a server: one for each role, and those that somebody adds.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use flotilla_common::broker::{Grants, Role, inbox_prefix};

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) roles: Vec<Role>,
}

impl User {
    /// Whether it belongs to nobody of the fleet's.
    pub(super) fn is_outside(&self) -> bool {
        self.roles.iter().all(|role| role.is_outside())
    }

    /// What all its roles may do together, and its own inbox.
    pub(super) fn grants(&self) -> Grants {
        let mut all = Grants::default();
        for role in &self.roles {
            let grants = role.grants();
            all.publish.extend(grants.publish);
            all.subscribe.extend(grants.subscribe);
            all.answers = all.answers.max(grants.answers);
        }
        all.subscribe.insert(format!("{}.>", self.inbox_prefix()));
        all
    }

    pub(super) fn inbox_prefix(&self) -> String {
        inbox_prefix(&self.name)
    }

    /// What the server's configuration calls its public key.
    pub(super) fn variable(&self) -> String {
        format!("NKEY_{}", self.name.replace('-', "_").to_uppercase())
    }
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, roles) = text
            .split_once('=')
            .ok_or("write it as NAME=ROLE, like shop=publisher.query")?;
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(format!(
                "{name:?} is no user's name: use lower-case letters, digits and dashes"
            ));
        }
        let roles = roles.split(',').map(|role| role.parse::<Role>());
        let roles = roles.collect::<Result<Vec<_>, _>>();
        let user = Self {
            name: name.to_owned(),
            roles: roles.map_err(|error| error.to_string())?,
        };
        let outside = user.roles.iter().filter(|role| role.is_outside()).count();
        if ![0, user.roles.len()].contains(&outside) {
            return Err(
                "one user cannot be of the fleet and outside of it: make two of them".to_owned(),
            );
        }
        Ok(user)
    }
}

/// One for each role, and these.
pub(super) fn with(more: &[String]) -> anyhow::Result<Vec<User>> {
    let of_role = |role: Role| User {
        name: role.user(),
        roles: vec![role],
    };
    let mut users: Vec<User> = Role::all().into_iter().map(of_role).collect();
    for text in more {
        let user = text.parse::<User>().map_err(anyhow::Error::msg);
        users.push(user.with_context(|| format!("--user {text}"))?);
    }
    let mut names = BTreeSet::new();
    for user in &users {
        ensure!(
            names.insert(&user.name),
            "there are two users {}: give yours another name",
            user.name
        );
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use flotilla_common::broker::Answers;

    use super::*;

    #[test]
    fn a_user_may_do_what_its_roles_may_and_read_its_own_inbox() {
        let shop: User = "shop=publisher.query,reader.query".parse().unwrap();
        let grants = shop.grants();
        assert!(grants.publish.contains("tasks.query.low.*"));
        assert!(grants.subscribe.contains("outcomes.query.*"));
        assert!(grants.subscribe.contains("_INBOX_shop.>"));
        assert_eq!(grants.answers, Answers::Never);
    }

    #[test]
    fn what_is_no_user_says_why() {
        let why = |text: &str| text.parse::<User>().unwrap_err();
        assert!(why("shop").contains("NAME=ROLE"));
        assert!(why("Shop=reader").contains("lower-case"));
        assert!(why("all=stats,reader").contains("make two"));
        assert!(why("shop=cook").contains("\"cook\" is no role"));
        let twice = with(&["stats=reader".to_owned()]).unwrap_err();
        assert!(twice.to_string().contains("two users stats"));
    }
}
