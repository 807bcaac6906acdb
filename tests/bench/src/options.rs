//! The command line.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum};

use crate::sections::Section;

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
    /// Measures throughput, latency and tracing on this server instead of one of its own; its
    /// fleet and streams must be idle
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
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
