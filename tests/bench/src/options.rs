//! The command line.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};

use crate::sections::Section;
use crate::worker;

#[derive(Debug, Parser)]
#[command(
    name = "just bench",
    about = "Measures the fleet, and what it is compared with"
)]
pub(crate) struct Options {
    /// What to measure; the core where nothing is named
    #[arg(value_name = "SECTION", value_parser = sections())]
    what: Vec<What>,
    /// Fewer tasks: shows that it runs, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Prints JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Builds all programs from nothing as well, which takes minutes, in section `start`
    #[arg(long)]
    pub(crate) build: bool,
    /// Measures throughput, latency, priority, pool and tracing on this server instead of one of its own; its
    /// fleet and streams must be idle
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What sections start that need worker processes
    #[command(hide = true)]
    Worker(worker::Options),
}

#[derive(Debug, Clone)]
enum What {
    All,
    One(Section),
}

impl Options {
    /// In the order of their names on the command line, each once.
    pub(crate) fn sections(&self) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        for what in &self.what {
            let named = match what {
                What::All => Section::value_variants(),
                What::One(section) => std::slice::from_ref(section),
            };
            for section in named {
                if !sections.contains(section) {
                    sections.push(*section);
                }
            }
        }
        match sections.is_empty() {
            true => Section::CORE.to_vec(),
            false => sections,
        }
    }
}

fn sections() -> impl TypedValueParser<Value = What> {
    let all = PossibleValue::new("all").help("Everything");
    let each = Section::value_variants().iter();
    let values = each.filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(std::iter::once(all).chain(values)).map(|name| {
        // What is no section has been refused, so that this is `all`.
        Section::from_str(&name, false).map_or(What::All, What::One)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_the_core_or_what_is_named_each_once() {
        let sections = |arguments: &[&str]| {
            let arguments = std::iter::once("bench").chain(arguments.iter().copied());
            Options::try_parse_from(arguments).map(|options| options.sections())
        };
        assert_eq!(sections(&[]).unwrap(), Section::CORE);
        assert_eq!(
            sections(&["sync", "pool", "sync", "--quick"]).unwrap(),
            [Section::Sync, Section::Pool]
        );
        let all = sections(&["find", "all"]).unwrap();
        assert_eq!(all.len(), Section::value_variants().len());
        assert_eq!(all[0], Section::Find);
        assert!(sections(&["speed"]).is_err());
    }

    #[test]
    fn every_section_is_called_as_it_is_shown() {
        for section in Section::value_variants() {
            let shown = section.to_possible_value().unwrap();
            assert_eq!(shown.get_name(), section.name());
        }
    }
}
