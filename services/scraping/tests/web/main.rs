//! The handler against web servers on this machine. Nothing here leaves it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod extraction;
mod nasty;
mod pdf;
mod pdf_file;
mod politeness;
mod scrape;
mod site;
