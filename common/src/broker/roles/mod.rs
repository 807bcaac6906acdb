//! Who there is on a server that tells users apart, and what each may do: one table, from which
//! the server's configuration is printed (`flotilla nats config`) and by which `flotilla doctor`
//! tries credentials. `table` says what each role does, `grants` which subjects that takes.

mod grants;
mod table;

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::subjects::lanes;
use crate::model::{Category, Priority};

pub(in crate::broker) use grants::API;
pub use grants::{Answers, Grants};

/// A part that somebody plays, with no more rights than it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Role {
    /// The HTTP API, and whoever else speaks for the fleet; makes the streams.
    Gateway,
    Stats,
    /// The service that runs the tasks of a category.
    Worker(Category),
    /// Submits tasks, of one category or of all, and reads nothing but answers to itself.
    Publisher(Option<Category>),
    /// Reads outcomes, of one category or of all.
    Reader(Option<Category>),
    /// Does the work of a category in the place of a handler of ours (`HANDLERS.md`).
    Handler(Category),
    /// The command line at a broker, the doctor, and the whole fleet in one process.
    Operator,
    /// Looks, and changes nothing.
    Monitor,
    /// Everything, for what no other role foresees.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no role: the roles are {}, and publisher, reader or handler of one category, like publisher.query",
    Role::all().iter().map(Role::to_string).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownRole {
    name: String,
}

impl Role {
    /// Every role of a fleet; publishers and readers of all categories stand for those of one, and
    /// handlers are there where somebody brings them.
    pub fn all() -> Vec<Self> {
        let mut roles = vec![Self::Gateway, Self::Stats];
        roles.extend(Category::all().map(Self::Worker));
        roles.extend([
            Self::Publisher(None),
            Self::Reader(None),
            Self::Operator,
            Self::Monitor,
            Self::Admin,
        ]);
        roles
    }

    /// The user of this role, where there is one: `worker-query`.
    pub fn user(self) -> String {
        self.to_string().replace('.', "-")
    }

    /// For whoever reads the server's configuration.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Gateway => "serves the API; makes the streams and consumers",
            Self::Stats => "counts, and finds tasks",
            Self::Worker(_) => "runs the tasks of its category",
            Self::Publisher(_) => "submits tasks; reads nothing but answers to itself",
            Self::Reader(_) => "reads outcomes; changes nothing",
            Self::Handler(_) => "does the work that a bridge hands on; reads nothing else",
            Self::Operator => "the command line with --nats, the doctor, the fleet in one process",
            Self::Monitor => "looks at streams, consumers and services; changes nothing",
            Self::Admin => "everything",
        }
    }

    /// Whether it is no part of the fleet. Such users have an account of their own on the server:
    /// within one account, whoever may ask for anything can have the broker's answer written to
    /// any subject, records included; across accounts it only comes back to whoever asked.
    pub fn is_outside(self) -> bool {
        matches!(self, Self::Publisher(_) | Self::Reader(_) | Self::Monitor)
    }

    /// Whether it makes streams and consumers that are missing, and changes those that differ.
    pub(super) fn makes_topology(self) -> bool {
        matches!(self, Self::Gateway | Self::Operator | Self::Admin)
    }

    /// The consumers that it needs. They are made last, so that where these are, all is.
    pub(super) fn needed_lanes(self) -> Vec<(Category, Priority)> {
        let is_needed = |category: &Category| match self {
            Self::Worker(own) => own == *category,
            Self::Publisher(_) | Self::Reader(_) | Self::Handler(_) | Self::Monitor => false,
            Self::Gateway | Self::Stats | Self::Operator | Self::Admin => true,
        };
        lanes()
            .filter(|(category, _)| is_needed(category))
            .collect()
    }

    /// Whose tasks' records it reads. A part of another task's work does not start once that one is
    /// cancelled: so a worker reads those of the categories whose tasks have such parts, too.
    pub(super) fn reads_records(self, category: Category) -> bool {
        match self {
            Self::Gateway | Self::Stats | Self::Reader(None) | Self::Operator | Self::Admin => true,
            Self::Reader(Some(own)) => own == category,
            Self::Publisher(_) | Self::Handler(_) | Self::Monitor => false,
            Self::Worker(Category::Batch | Category::Maintenance) => true,
            Self::Worker(own) => {
                let is_part_of_maintenance = own == Category::Embedding;
                own == category
                    || category == Category::Batch
                    || is_part_of_maintenance && category == Category::Maintenance
            }
        }
    }

    /// Whether a service can do its work in this role.
    pub fn serves(self, service: &str) -> bool {
        match self {
            Self::Gateway => service == "gateway",
            Self::Stats => service == "stats",
            Self::Worker(category) => service.split('-').next() == Some(category.name()),
            Self::Operator | Self::Admin => true,
            Self::Publisher(_) | Self::Reader(_) | Self::Handler(_) | Self::Monitor => false,
        }
    }

    /// What it may do, apart from reading its own inbox.
    pub fn grants(self) -> Grants {
        table::of(self)
    }
}

/// How outsiders call what the fleet's account has as `$JS.API`: that one is their own account's.
pub const OUTSIDE_API: &str = "FLEET.API";

/// Where answers to a user go, and where nobody else may listen.
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX_{user}")
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::Stats => f.write_str("stats"),
            Self::Worker(category) => write!(f, "worker.{category}"),
            Self::Publisher(None) => f.write_str("publisher"),
            Self::Publisher(Some(category)) => write!(f, "publisher.{category}"),
            Self::Reader(None) => f.write_str("reader"),
            Self::Reader(Some(category)) => write!(f, "reader.{category}"),
            Self::Handler(category) => write!(f, "handler.{category}"),
            Self::Operator => f.write_str("operator"),
            Self::Monitor => f.write_str("monitor"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let of_one = Category::all().flat_map(|category| {
            [
                Self::Publisher(Some(category)),
                Self::Reader(Some(category)),
                Self::Handler(category),
            ]
        });
        let mut roles = Self::all().into_iter().chain(of_one);
        roles
            .find(|role| role.to_string() == text)
            .ok_or_else(|| UnknownRole {
                name: text.to_owned(),
            })
    }
}

impl TryFrom<String> for Role {
    type Error = UnknownRole;

    fn try_from(text: String) -> Result<Self, UnknownRole> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_as_they_are_written() {
        let publisher = Role::Publisher(Some(Category::Query));
        let handler = Role::Handler(Category::Query);
        for role in Role::all().into_iter().chain([publisher, handler]) {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        let error = "worker.nothing".parse::<Role>().unwrap_err().to_string();
        assert!(error.contains("worker.embedding"), "{error}");
    }

    #[test]
    fn records_are_read_by_who_may_look_them_up() {
        for role in Role::all() {
            let grants = role.grants();
            for category in Category::BUILT_IN {
                let look_up = format!("$JS.API.DIRECT.GET.RESULTS.results.{category}.*");
                let may = grants.publish.contains(&look_up) || role == Role::Admin;
                assert_eq!(role.reads_records(category), may, "{role} {category}");
            }
        }
    }

    #[test]
    fn a_service_runs_in_its_own_role() {
        assert!(Role::Worker(Category::Maintenance).serves("maintenance-start"));
        assert!(!Role::Worker(Category::Query).serves("embedding"));
        assert!(!Role::Publisher(None).serves("gateway"));
        assert!(Role::Operator.serves("stats"));
    }
}
