//! Section `[bridge]`.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_common::model::{Category, Dependency, Needs};
use flotilla_common::worker::Timeout;
use serde::Deserialize;

/// A handler of which nothing is heard for so long is lost, unless its category says otherwise.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A shorter silence is no sign of anything.
const SILENCE_MIN: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The categories that it serves; all of `[categories]` where none is named.
    pub categories: Vec<Category>,
    /// How long a handler may be silent, by category, where not 30 s.
    pub silence_max: BTreeMap<Category, Timeout>,
    /// What has to work for the tasks of a category to start.
    pub needs: BTreeMap<Category, Vec<Dependency>>,
}

impl Config {
    pub fn serves(&self, category: Category) -> bool {
        match self.categories.is_empty() {
            true => !category.is_built_in(),
            false => self.categories.contains(&category),
        }
    }

    pub fn validate(&self) -> Result<(), String> {
        let short = self
            .silence_max
            .keys()
            .find(|category| self.silence_max(**category) < SILENCE_MIN);
        match short {
            Some(category) => Err(format!(
                "bridge.silence_max.{category} must be {SILENCE_MIN:?} or longer"
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn silence_max(&self, category: Category) -> Duration {
        let silence = self.silence_max.get(&category);
        silence.map_or(SILENCE_MAX, |silence| silence.duration())
    }

    pub(crate) fn needs(&self, category: Category) -> Needs {
        let needs = self.needs.get(&category).into_iter().flatten();
        needs.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn ours_are_served_by_it_only_where_they_are_named() {
        assert!(!config("{}").serves(Category::Query));
        let named = config(r#"{"categories": ["query"]}"#);
        assert!(named.serves(Category::Query) && !named.serves(Category::Batch));
    }

    #[test]
    fn a_silence_has_a_length() {
        let given = config(r#"{"silence_max": {"query": "2m"}}"#);
        assert_eq!(given.silence_max(Category::Query), Duration::from_secs(120));
        assert_eq!(given.silence_max(Category::Batch), SILENCE_MAX);
        assert_eq!(given.validate(), Ok(()));
        let short = config(r#"{"silence_max": {"query": "1ms"}}"#).validate();
        assert!(short.unwrap_err().contains("bridge.silence_max.query"));
    }
}
