//! What the settings say of a category that does not come with the fleet, and what is allowed.

use std::time::Duration;

use serde::Deserialize;

use super::super::{Priority, duration};
use super::Category;

/// Section `[categories.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Custom {
    /// How its task ids begin; its name where nothing is said.
    pub id_prefix: Option<String>,
    /// Of tasks that are submitted without one.
    pub priority: Priority,
    /// Tasks that one worker process runs at once.
    pub slots: usize,
    /// How long an attempt may run.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for Custom {
    fn default() -> Self {
        Self {
            id_prefix: None,
            priority: Priority::Normal,
            slots: 4,
            timeout: Duration::from_secs(60),
        }
    }
}

/// A category of the settings, as the process knows it from then on.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    pub(super) name: &'static str,
    pub(super) queue_name: &'static str,
    pub(super) id_prefix: &'static str,
    pub(super) priority: Priority,
    pub(super) slots: usize,
    pub(super) timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[categories.{name}]: {why}")]
pub struct InvalidCategory {
    pub(super) name: String,
    pub(super) why: String,
}

/// `rag_query` is another word for `query`; the others are services, which report by their names.
const TAKEN: [&str; 4] = ["rag_query", "gateway", "stats", "bridge"];
const NAME_BYTES_MAX: usize = 32;

impl Definition {
    /// Checked but for what other categories have.
    pub(super) fn new(name: &str, custom: &Custom) -> Result<Self, InvalidCategory> {
        let invalid = |why: String| InvalidCategory {
            name: name.to_owned(),
            why,
        };
        let rule = "use 1 to 32 characters of a-z, 0-9 and _, the first one a letter";
        if !is_name(name) {
            return Err(invalid(format!("{name:?} is no name: {rule}")));
        }
        if TAKEN.contains(&name) {
            return Err(invalid(format!(
                "{name} means something else to the fleet: use another name"
            )));
        }
        if Category::BUILT_IN
            .iter()
            .any(|built_in| built_in.name() == name)
        {
            return Err(invalid(format!(
                "{name} comes with the fleet: set it in [worker], and who serves it in [bridge]"
            )));
        }
        let prefix = custom.id_prefix.as_deref().unwrap_or(name);
        if !is_name(prefix) {
            return Err(invalid(format!("id_prefix {prefix:?} does not do: {rule}")));
        }
        let built_in = Category::BUILT_IN.into_iter();
        if let Some(other) = built_in
            .into_iter()
            .find(|other| other.id_prefix() == prefix)
        {
            return Err(invalid(format!(
                "id_prefix {prefix} is that of {other}: use another"
            )));
        }
        if custom.slots == 0 {
            return Err(invalid("slots: use 1 or more".to_owned()));
        }
        if custom.timeout.is_zero() {
            return Err(invalid("timeout must be longer than 0".to_owned()));
        }
        Ok(Self {
            name: leak(name),
            queue_name: leak(&format!("{name}_queue")),
            id_prefix: leak(prefix),
            priority: custom.priority,
            slots: custom.slots,
            timeout: custom.timeout,
        })
    }
}

/// A subject token, a part of a stream's name and of an id, and a word in a path.
pub fn is_name(text: &str) -> bool {
    let is_rest = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.as_bytes()[0].is_ascii_lowercase()
        && text.bytes().all(is_rest)
}

/// Once for each name of the settings: a category is as cheap to hand around as a number.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(name: &str, custom: Custom) -> String {
        Definition::new(name, &custom).unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_do_is_told_by_name() {
        let plain = Custom::default;
        for name in [
            "",
            "Translate",
            "a-b",
            "a.b",
            "1st",
            "_x",
            "ü",
            &"x".repeat(33),
        ] {
            assert!(why(name, plain()).contains("1 to 32 characters"), "{name}");
        }
        assert!(why("query", plain()).contains("comes with the fleet"));
        assert!(why("rag_query", plain()).contains("something else"));
        // As a name it would do; as a prefix it is that of scraping.
        assert!(why("scrape", plain()).contains("that of scraping"));
        let prefix = |text: &str| Custom {
            id_prefix: Some(text.to_owned()),
            ..plain()
        };
        assert!(why("translate", prefix("a b")).contains("id_prefix \"a b\""));
        assert!(why("translate", prefix("embed")).contains("that of embedding"));
        let custom = Custom {
            slots: 0,
            ..plain()
        };
        assert!(why("translate", custom).contains("slots"));
        assert!(Definition::new("translate", &prefix("t")).is_ok());
    }
}
