//! What processes and the fleet count, as named families of numbers: [`FAMILIES`] is the whole
//! table, [`Registry`] holds whoever has numbers for it, [`text`] writes them as Prometheus reads
//! them. Without I/O but for a look at this process; METRICS.md is made of the same table.

mod bounds;
mod counts;
#[cfg(test)]
mod document;
mod family;
pub(crate) mod process;
mod registry;
mod samples;
mod table;
pub mod text;

pub use bounds::{Bound, bounds};
pub use counts::add_tally;
pub use family::{Family, Kind};
pub use registry::{Registry, Source};
pub use samples::{Samples, Value};
pub use table::*;
