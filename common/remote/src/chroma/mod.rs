//! ChromaDB 1.x over its HTTP API (v2): the few calls that a store of vectors takes.
//!
//! A [`Client`] knows the server, a [`Collection`] the vectors of one embedder. Nothing here
//! looks at breakers: [`Error::is_outage`] says what counts for one.

mod client;
mod collection;
mod config;
mod error;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use collection::{Collection, Listed, Match, Row};
pub use config::{Config, ConfigError};
pub use error::Error;
