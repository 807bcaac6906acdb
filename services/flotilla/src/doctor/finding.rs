//! What the doctor says: how bad, what, and what to do.

use serde::Serialize;

use crate::terminal::{Screen, Tone, one_line};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Ok,
    /// Worth knowing, and nothing is wrong.
    Note,
    /// It bites some day.
    Warning,
    /// It bites now.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: the same word for the same look, always.
    pub(super) check: &'static str,
    pub(super) severity: Severity,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    fn new(check: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            check,
            severity,
            message: message.into(),
            remedy: None,
        }
    }

    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Severity::Ok, message)
    }

    pub(super) fn note(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Severity::Note, message)
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, message)
    }

    pub(super) fn error(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Severity::Error, message)
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    pub(super) fn show(&self, screen: Screen) -> String {
        let (sign, tone) = match self.severity {
            Severity::Ok => ("ok", Tone::Good),
            Severity::Note => ("note", Tone::Faint),
            Severity::Warning => ("warning", Tone::Warn),
            Severity::Error => ("error", Tone::Bad),
        };
        let sign = screen.paint(tone, &format!("{sign:<8}"));
        let mut shown = format!("{sign} {:<12} {}\n", self.check, one_line(&self.message));
        if let Some(remedy) = &self.remedy {
            shown.push_str(&format!("{:22}→ {}\n", "", one_line(remedy)));
        }
        shown
    }
}
