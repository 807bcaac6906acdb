//! What is written for people: colours where a terminal shows them, lines that fit it, and text
//! of others that cannot move the cursor.

mod curve;
mod progress;
mod table;
mod words;

use std::io::{self, IsTerminal, Write};

use crate::exit::Failed;

pub(crate) use curve::{curve, summed};
pub(crate) use progress::Progress;
pub(crate) use table::{Cell, Column, Table, cut};
pub(crate) use words::{ago, bytes, clock, count, now, percent, seconds, until};

/// How a word is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Strong,
    Faint,
    Good,
    Warn,
    Bad,
}

impl Tone {
    const fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Answers go out as they came, for programs.
    pub(crate) is_json: bool,
    pub(super) has_colours: bool,
    /// In cells; `None` where it is no terminal, and nothing has to fit.
    pub(crate) width: Option<usize>,
}

impl Screen {
    pub(crate) fn new(is_json: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            is_json,
            has_colours: is_terminal && wants_colours(),
            width: size().filter(|_| is_terminal).map(|(columns, _)| columns),
        }
    }

    /// Without colours, for tests.
    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>) -> Self {
        Self {
            is_json: false,
            has_colours: false,
            width,
        }
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.has_colours || tone == Tone::Plain {
            return text.to_owned();
        }
        format!("{}{text}\x1b[0m", tone.sequence())
    }

    /// A line, whole.
    pub(crate) fn line(self, text: impl AsRef<str>) -> Result<(), Failed> {
        self.write(&format!("{}\n", text.as_ref()))
    }

    pub(crate) fn write(self, text: &str) -> Result<(), Failed> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| Failed::output(&error))
    }
}

/// <https://no-color.org>, and terminals that have none.
fn wants_colours() -> bool {
    let refuses = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !refuses && !is_dumb
}

/// Columns and rows of the terminal.
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Text of others on one line: what would move the cursor or change colours is taken out.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() || is_format(c) {
            ' '
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// The same with its lines.
pub(crate) fn lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || is_format(c) => ' ',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Characters that turn the direction of writing, which can make text read as another.
const fn is_format(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_moves_nothing() {
        assert_eq!(one_line("a\x1b[2Jb\nc\u{202e}d"), "a [2Jb c d");
        assert_eq!(lines("a\x07\n\tb"), "a \n\tb");
    }
}
