//! Which of many an order is about: some by their ids, those that a filter finds, or all.

use serde_json::{Map, Value};

use crate::exit::Failed;

#[derive(Debug, clap::Args)]
pub(crate) struct Chosen<F: clap::Args> {
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) filter: F,
    /// All, where neither ids nor a filter are given
    #[arg(long)]
    pub(super) all: bool,
    /// Says which would be meant, and does nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Does not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

pub(crate) trait Filter: clap::Args {
    /// As the API takes it; nothing where it takes everything.
    fn members(&self) -> Map<String, Value>;
}

impl<F: Filter> Chosen<F> {
    /// Whether it is by ids. Whoever has said nothing is asked `which`, and told of a filter `like` this.
    pub(super) fn is_by_ids(&self, which: &str, like: &str) -> Result<bool, Failed> {
        let is_filtered = self.all || !self.filter.members().is_empty();
        match (self.ids.is_empty(), is_filtered) {
            (false, false) => Ok(true),
            (true, true) => Ok(false),
            (true, false) => Err(Failed::usage(which)
                .remedy(format!("give their ids, or a filter like {like}, or --all"))),
            (false, true) => Err(Failed::usage("give either ids or a filter")),
        }
    }
}

/// The members that are given.
pub(super) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
