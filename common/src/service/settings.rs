//! Configuration in layers: defaults in code, one TOML file, environment variables, flags.
//! Each service reads its own section; a section or key that nobody knows is refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::model::category::{self, Custom, InvalidCategory};

/// Every section there is, whichever service reads it: all share one file.
const SECTIONS: [&str; 19] = [
    "nats",
    "streams",
    "fleet",
    "categories",
    "bridge",
    "worker",
    "log",
    "telemetry",
    "ops",
    "embedded",
    "gateway",
    "stats",
    "scraping",
    "knowledge",
    "openai",
    "chromadb",
    "browser",
    "batch",
    "maintenance",
];
/// `FLOTILLA_GATEWAY__LISTEN=…` sets `gateway.listen`.
const ENV_PREFIX: &str = "FLOTILLA_";
const ENV_SEPARATOR: &str = "__";
/// The one variable that everything that speaks NATS knows.
const NATS_URL: &str = "NATS_URL";
/// The same of everything that speaks to that API.
const OPENAI_API_KEY: &str = "OPENAI_API_KEY";

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration file {} is not valid TOML", path.display())]
    Syntax {
        path: PathBuf,
        source: toml::de::Error,
    },
    #[error("{origin}: unknown section [{name}]: the sections are {}", SECTIONS.join(", "))]
    UnknownSection { origin: String, name: String },
    #[error("{0}: write it as section.key=value, like gateway.listen=127.0.0.1:8080")]
    Assignment(String),
    #[error(transparent)]
    Category(#[from] InvalidCategory),
    #[error("section [{section}]: {reason}")]
    Section {
        section: &'static str,
        reason: String,
    },
}

/// The merged layers, not yet read by the services.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    table: Table,
}

impl Settings {
    /// Merges file, environment and flags (`section.key=value`), each over the one before.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        if let Some(path) = file {
            settings.merge_file(path)?;
        }
        let mut usual_key = None;
        for (name, value) in environment {
            if name == NATS_URL {
                settings.assign("NATS_URL", "nats", "url", &value)?;
            } else if name == OPENAI_API_KEY {
                usual_key = Some(value);
            } else if let Some((section, key)) = variable(&name) {
                settings.assign(&name, &section, &key, &value)?;
            }
        }
        // Less explicit than any setting of ours.
        let is_set = ["api_key", "api_key_file"].map(|key| settings.has("openai", key));
        if let Some(key) = usual_key.filter(|key| !key.is_empty() && !is_set.contains(&true)) {
            settings.set("openai", "api_key", key);
        }
        for flag in flags {
            let parts = flag
                .split_once('=')
                .and_then(|(path, value)| Some((path.split_once('.')?, value)));
            let Some(((section, key), value)) = parts else {
                return Err(SettingsError::Assignment(flag.clone()));
            };
            settings.assign(flag, section, key, value)?;
        }
        // From here on the process knows them: the other sections may name them.
        let categories: BTreeMap<String, Custom> = settings.section("categories")?;
        category::register(categories)?;
        Ok(settings)
    }

    /// A service's own section, with its defaults for what is not set.
    pub fn section<T: DeserializeOwned>(&self, section: &'static str) -> Result<T, SettingsError> {
        debug_assert!(SECTIONS.contains(&section), "{section} is not listed");
        let table = self
            .table
            .get(section)
            .cloned()
            .unwrap_or_else(|| Table::new().into());
        table
            .try_into()
            .map_err(|error: toml::de::Error| SettingsError::Section {
                section,
                reason: error.to_string().trim_end().to_owned(),
            })
    }

    /// Overrides one value, as the embedded mode does for the server that it has started.
    pub fn set(&mut self, section: &'static str, key: &str, value: impl Into<Value>) {
        let table = self
            .table
            .entry(section)
            .or_insert_with(|| Table::new().into());
        if let Value::Table(table) = table {
            table.insert(key.to_owned(), value.into());
        }
    }

    /// Whether any layer has set the value.
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.table
            .get(section)
            .is_some_and(|table| table.get(key).is_some())
    }

    fn merge_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let path = || path.to_owned();
        let text = std::fs::read_to_string(path()).map_err(|source| SettingsError::Read {
            path: path(),
            source,
        })?;
        self.table = text.parse().map_err(|source| SettingsError::Syntax {
            path: path(),
            source,
        })?;
        let unknown = self
            .table
            .keys()
            .find(|name| !SECTIONS.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some(name) => Err(SettingsError::UnknownSection {
                origin: path().display().to_string(),
                name: name.clone(),
            }),
        }
    }

    fn assign(
        &mut self,
        origin: &str,
        section: &str,
        path: &str,
        text: &str,
    ) -> Result<(), SettingsError> {
        let Some(section) = SECTIONS.into_iter().find(|name| *name == section) else {
            return Err(SettingsError::UnknownSection {
                origin: origin.to_owned(),
                name: section.to_owned(),
            });
        };
        // `slots.query` within `[worker]`: nested tables, from the inside out.
        let keys = path.rsplit('.').chain([section]);
        let layer = keys.fold(value(text), |value, key| {
            Table::from_iter([(key.to_owned(), value)]).into()
        });
        if let Value::Table(layer) = layer {
            lay_over(&mut self.table, layer);
        }
        Ok(())
    }
}

/// What the layer sets wins, and what it says nothing of stays, however deep it is.
fn lay_over(table: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// The section and key that an environment variable sets, where it is one of ours.
fn variable(name: &str) -> Option<(String, String)> {
    let (section, key) = name.strip_prefix(ENV_PREFIX)?.split_once(ENV_SEPARATOR)?;
    Some((
        section.to_lowercase(),
        key.replace(ENV_SEPARATOR, ".").to_lowercase(),
    ))
}

/// A value as TOML where it is a number, a boolean or a list; as a string otherwise.
fn value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    match parsed.ok().and_then(|mut table| table.remove("value")) {
        Some(
            value @ (Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Array(_)
            | Value::String(_)),
        ) => value,
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::model::Category;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Section {
        listen: String,
        limit: u32,
        slots: std::collections::BTreeMap<String, u32>,
    }

    fn load(environment: &[(&str, &str)], flags: &[&str]) -> Result<Section, SettingsError> {
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let flags: Vec<String> = flags.iter().map(|&f| f.to_owned()).collect();
        Settings::load(None, environment, &flags)?.section("gateway")
    }

    #[test]
    fn flags_win_over_the_environment() {
        let env = [
            ("FLOTILLA_GATEWAY__LISTEN", "a:1"),
            ("FLOTILLA_GATEWAY__LIMIT", "7"),
            ("HOME", "/"),
        ];
        let section = load(
            &env,
            &[
                "gateway.listen=b:2",
                "gateway.slots.query=4",
                "gateway.slots.batch=1",
            ],
        )
        .unwrap();
        assert_eq!((section.listen.as_str(), section.limit), ("b:2", 7));
        assert_eq!(section.slots.len(), 2);
    }

    #[test]
    fn a_flag_leaves_its_neighbours_alone_however_deep_they_are() {
        let set = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            Settings::load(None, std::iter::empty(), &flags)
                .unwrap()
                .table
        };
        let both = set(&[
            "worker.breakers.chromadb.failures=1",
            "worker.breakers.chromadb.open_for=3s",
            "worker.breakers.openai.failures=2",
        ]);
        let breakers = &both["worker"]["breakers"];
        assert_eq!(breakers["chromadb"]["failures"].as_integer(), Some(1));
        assert_eq!(breakers["chromadb"]["open_for"].as_str(), Some("3s"));
        assert_eq!(breakers["openai"]["failures"].as_integer(), Some(2));
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name() {
        let error = load(&[("FLOTILLA_GATWAY__LISTEN", "x")], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("FLOTILLA_GATWAY__LISTEN") && error.contains("gatway"),
            "{error}"
        );
        let error = load(&[], &["gateway.listn=x"]).unwrap_err().to_string();
        assert!(
            error.contains("[gateway]") && error.contains("listn"),
            "{error}"
        );
        assert!(
            load(&[], &["listen"])
                .unwrap_err()
                .to_string()
                .contains("section.key=value")
        );
    }

    #[test]
    fn a_category_is_known_once_its_settings_are_read() {
        let flags = ["categories.testing_settings.slots=7".to_owned()];
        Settings::load(None, std::iter::empty(), &flags).unwrap();
        let category: Category = "testing_settings".parse().unwrap();
        assert_eq!(category.default_slots(), 7);
        for (flag, named) in [
            ("categories.a-b.slots=1", "a-b"),
            ("categories.testing_settings_2.slot=1", "slot"),
            ("categories.query.slots=1", "[categories.query]"),
        ] {
            let wrong = Settings::load(None, std::iter::empty(), &[flag.to_owned()]);
            let why = wrong.unwrap_err().to_string();
            assert!(why.contains(named), "{why}");
        }
    }
}
