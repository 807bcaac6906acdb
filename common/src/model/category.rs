//! The five kinds of work. Streams, consumers, queues and the API derive from [`Category::ALL`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Priority, UnknownName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Category {
    Scraping,
    Query,
    Embedding,
    Batch,
    Maintenance,
}

impl Category {
    pub const ALL: [Self; 5] = [
        Self::Scraping,
        Self::Query,
        Self::Embedding,
        Self::Batch,
        Self::Maintenance,
    ];

    /// The token in subjects, stream names and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scraping => "scraping",
            Self::Query => "query",
            Self::Embedding => "embedding",
            Self::Batch => "batch",
            Self::Maintenance => "maintenance",
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
        }
    }

    pub const fn default_priority(self) -> Priority {
        match self {
            Self::Scraping | Self::Embedding => Priority::Normal,
            Self::Query => Priority::Critical,
            Self::Batch => Priority::Low,
            Self::Maintenance => Priority::Bulk,
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
        }
    }

    /// How long one attempt may run, unless configured otherwise.
    pub const fn default_timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Query => 30,
            Self::Scraping => 60,
            Self::Embedding => 300,
            Self::Batch | Self::Maintenance => 3_600,
        })
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
        Self::ALL
            .into_iter()
            .find(|category| category.name() == wanted)
            .ok_or_else(|| UnknownName {
                what: "category",
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
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
        for category in Category::ALL {
            assert_eq!(category.name().parse(), Ok(category));
        }
        assert_eq!("rag_query".parse(), Ok(Category::Query));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "scrapping".parse::<Category>().unwrap_err().to_string();
        assert!(error.contains("scraping, query"), "{error}");
    }
}
