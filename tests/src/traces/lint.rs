//! What is wrong with a trace, if anything.

use std::fmt::{self, Display, Formatter};

use super::rules;
use super::span::{Span, Trace};

/// What a test knows of a trace that the trace itself cannot tell.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The span of a foreign client that the trace hangs from, and that nobody exported.
    pub foreign_parent: Option<String>,
    /// Texts of payloads and credentials: none may stand anywhere in the trace.
    pub private: Vec<String>,
    /// The tasks whose outcome the trace has to tell.
    pub tasks: Vec<String>,
}

impl Expected {
    pub fn tasks<T: ToString>(ids: impl IntoIterator<Item = T>) -> Self {
        let tasks = ids.into_iter().map(|id| id.to_string()).collect();
        Self {
            tasks,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn under(mut self, foreign_parent: &str) -> Self {
        self.foreign_parent = Some(foreign_parent.to_owned());
        self
    }

    #[must_use]
    pub fn private(mut self, text: impl ToString) -> Self {
        self.private.push(text.to_string());
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static str,
    /// The span's name and id; empty where it is the whole trace.
    pub span: String,
    pub what: String,
}

impl Finding {
    pub(crate) fn of(rule: &'static str, span: &Span, what: impl Display) -> Self {
        Self {
            rule,
            span: format!("{} {}", span.name, span.id),
            what: what.to_string(),
        }
    }

    pub(crate) fn whole(rule: &'static str, what: impl Display) -> Self {
        Self {
            rule,
            span: String::new(),
            what: what.to_string(),
        }
    }
}

impl Display for Finding {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "[{}] {}: {}", self.rule, self.span, self.what)
    }
}

/// Everything that is wrong, by all rules.
pub fn lint(trace: &Trace, expected: &Expected) -> Vec<Finding> {
    let mut findings = Vec::new();
    rules::shape(trace, expected, &mut findings);
    rules::relations(trace, expected, &mut findings);
    rules::attempts(trace, expected, &mut findings);
    rules::time(trace, expected, &mut findings);
    rules::tasks(trace, expected, &mut findings);
    rules::words(trace, expected, &mut findings);
    findings
}
