//! Traces as Jaeger's query API tells them, and what has to be true of their shape.

mod lint;
#[cfg(test)]
mod lint_tests;
mod rules;
mod span;
mod tree;

pub use lint::{Expected, Finding, lint};
pub use span::{Kind, Link, Span, Status, Trace};
