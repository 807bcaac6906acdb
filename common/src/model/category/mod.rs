//! The kinds of work: five that come with the fleet, and those that its settings add. Streams,
//! consumers, queues and the API derive from [`Category::all`].

mod definition;
mod known;
mod registry;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use definition::{Custom, Definition, InvalidCategory, is_name};
pub use known::{known_keys, known_only, known_or_none};
pub use registry::{CUSTOM_MAX, register};

use super::{Priority, UnknownName};

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Category {
    Scraping,
    Query,
    Embedding,
    Batch,
    Maintenance,
    /// One that the settings define.
    Custom(&'static Definition),
}

impl Category {
    /// Those that every fleet knows.
    pub const BUILT_IN: [Self; 5] = [
        Self::Scraping,
        Self::Query,
        Self::Embedding,
        Self::Batch,
        Self::Maintenance,
    ];

    /// All that this process knows: the built-in ones, then those of the settings. A category
    /// keeps its place for as long as the process lives.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        let custom = registry::all().into_iter().map(Self::Custom);
        let all: Vec<Self> = Self::BUILT_IN.into_iter().chain(custom).collect();
        all.into_iter()
    }

    /// The one of this very name.
    pub fn named(name: &str) -> Option<Self> {
        let built_in = Self::BUILT_IN.into_iter().find(|c| c.name() == name);
        built_in.or_else(|| registry::find(|custom| custom.name == name).map(Self::Custom))
    }

    pub(super) fn of_prefix(prefix: &str) -> Option<Self> {
        let built_in = Self::BUILT_IN.into_iter().find(|c| c.id_prefix() == prefix);
        built_in.or_else(|| registry::find(|custom| custom.id_prefix == prefix).map(Self::Custom))
    }

    /// Its place in [`Category::all`].
    pub fn index(self) -> usize {
        match self {
            Self::Scraping => 0,
            Self::Query => 1,
            Self::Embedding => 2,
            Self::Batch => 3,
            Self::Maintenance => 4,
            Self::Custom(custom) => Self::BUILT_IN.len() + registry::place(custom),
        }
    }

    /// The one at that place.
    pub fn at(index: usize) -> Option<Self> {
        match index.checked_sub(Self::BUILT_IN.len()) {
            None => Some(Self::BUILT_IN[index]),
            Some(place) => registry::at(place).map(Self::Custom),
        }
    }

    pub const fn is_built_in(self) -> bool {
        !matches!(self, Self::Custom(_))
    }

    /// The token in subjects, stream names and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scraping => "scraping",
            Self::Query => "query",
            Self::Embedding => "embedding",
            Self::Batch => "batch",
            Self::Maintenance => "maintenance",
            Self::Custom(custom) => custom.name,
        }
    }

    /// What the HTTP API calls the category's queue.
    pub const fn queue_name(self) -> &'static str {
        match self {
            Self::Scraping => "scraping_queue",
            Self::Query => "query_queue",
            Self::Embedding => "embedding_queue",
            Self::Batch => "batch_queue",
            Self::Maintenance => "maintenance_queue",
            Self::Custom(custom) => custom.queue_name,
        }
    }

    /// How the task ids of this category begin: `scrape_…`.
    pub const fn id_prefix(self) -> &'static str {
        match self {
            Self::Scraping => "scrape",
            Self::Query => "query",
            Self::Embedding => "embed",
            Self::Batch => "batch",
            Self::Maintenance => "maintenance",
            Self::Custom(custom) => custom.id_prefix,
        }
    }

    pub const fn default_priority(self) -> Priority {
        match self {
            Self::Scraping | Self::Embedding => Priority::Normal,
            Self::Query => Priority::Critical,
            Self::Batch => Priority::Low,
            Self::Maintenance => Priority::Bulk,
            Self::Custom(custom) => custom.priority,
        }
    }

    /// Worker slots of one process, unless configured otherwise.
    pub const fn default_slots(self) -> usize {
        match self {
            Self::Scraping => 6,
            Self::Query => 10,
            Self::Embedding => 3,
            Self::Batch => 2,
            Self::Maintenance => 1,
            Self::Custom(custom) => custom.slots,
        }
    }

    /// How long one attempt may run, unless configured otherwise.
    pub const fn default_timeout(self) -> Duration {
        match self {
            Self::Query => Duration::from_secs(30),
            Self::Scraping => Duration::from_secs(60),
            Self::Embedding => Duration::from_secs(300),
            Self::Batch | Self::Maintenance => Duration::from_secs(3_600),
            Self::Custom(custom) => custom.timeout,
        }
    }

    /// The built-in ones in their order, the others after them by name.
    fn order(self) -> (usize, &'static str) {
        match self {
            Self::Custom(custom) => (Self::BUILT_IN.len(), custom.name),
            built_in => (built_in.index(), ""),
        }
    }
}

impl PartialEq for Category {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Category {}

impl Hash for Category {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order().hash(state);
    }
}

impl PartialOrd for Category {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Category {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Category {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        // The old API says both "query" and "rag_query".
        let wanted = if name == "rag_query" { "query" } else { name };
        Self::named(wanted).ok_or_else(|| UnknownName {
            what: "category",
            name: name.to_owned(),
            known: Self::all().map(Self::name).collect::<Vec<_>>().join(", "),
        })
    }
}

impl From<Category> for &'static str {
    fn from(category: Category) -> Self {
        category.name()
    }
}

impl TryFrom<String> for Category {
    type Error = UnknownName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for category in Category::BUILT_IN {
            assert_eq!(category.name().parse(), Ok(category));
            assert_eq!(Category::at(category.index()), Some(category));
        }
        assert_eq!("rag_query".parse(), Ok(Category::Query));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "scrapping".parse::<Category>().unwrap_err().to_string();
        assert!(error.contains("scraping, query"), "{error}");
    }

    #[test]
    fn one_that_the_settings_define_is_one_like_the_others() {
        let custom = Custom {
            id_prefix: Some("tr".to_owned()),
            ..Custom::default()
        };
        register([("testing_model".to_owned(), custom.clone())]).unwrap();
        register([("testing_model".to_owned(), custom)]).unwrap();
        let category: Category = "testing_model".parse().unwrap();
        assert!(!category.is_built_in() && category > Category::Maintenance);
        assert_eq!(category.queue_name(), "testing_model_queue");
        assert_eq!(Category::of_prefix("tr"), Some(category));
        assert_eq!(Category::at(category.index()), Some(category));
        assert_eq!(Category::all().filter(|c| *c == category).count(), 1);
        let other = register([("testing_model".to_owned(), Custom::default())]);
        assert!(other.unwrap_err().to_string().contains("otherwise"));
    }
}
