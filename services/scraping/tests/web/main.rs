//! The handler against web servers on this machine. Nothing here leaves it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod politeness;
mod scrape;
mod site;
