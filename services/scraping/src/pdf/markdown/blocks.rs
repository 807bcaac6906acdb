//! The blocks of one page after the other.

use super::{HEADING_CHARS_MAX, Style};
use crate::pdf::lines::{Line, columns};

/// Lines further apart than this times the usual are of two paragraphs.
const APART: f64 = 1.3;
const ROWS_MIN: usize = 2;
/// Longer cells are the lines of two columns of text.
const CELL_CHARS_MAX: usize = 60;
const BULLETS: [char; 9] = ['•', '▪', '●', '◦', '‣', '■', '–', '\u{f0b7}', '\u{2043}'];

pub(super) struct Writer<'a> {
    style: &'a Style,
    text: String,
    title: Option<String>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(style: &'a Style) -> Self {
        Self {
            style,
            text: String::new(),
            title: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn finish(self) -> (String, Option<String>) {
        (self.text, self.title)
    }

    pub(super) fn block(&mut self, text: &str) {
        if !self.text.is_empty() {
            let is_list = |text: &str| text.starts_with("- ") || number(text).is_some();
            let last = self.text.lines().next_back().unwrap_or_default();
            let goes_on = is_list(text) && is_list(last);
            self.text.push_str(if goes_on { "\n" } else { "\n\n" });
        }
        self.text.push_str(text);
    }

    pub(super) fn page(&mut self, mut lines: &[Line]) {
        while let Some(first) = lines.first() {
            let taken = if let Some(level) = self.style.level(first) {
                self.heading(level, lines)
            } else if let Some(rows) = table_rows(lines) {
                self.table(&lines[..rows]);
                rows
            } else if first.is_mono {
                self.code(lines)
            } else if self.stands_alone_in_bold(lines) {
                let heading = first.text();
                self.block(&format!(
                    "{} {heading}",
                    "#".repeat(self.style.level_below())
                ));
                1
            } else {
                self.paragraph(lines)
            };
            lines = &lines[taken..];
        }
    }

    /// A heading may run over several lines of its size.
    fn heading(&mut self, level: usize, lines: &[Line]) -> usize {
        let belongs = |pair: &[Line]| {
            self.style.level(&pair[1]) == Some(level)
                && pair[0].is_bold == pair[1].is_bold
                && !self.is_apart(&pair[0], &pair[1])
        };
        let more = lines.windows(2).take_while(|pair| belongs(pair)).count();
        let texts: Vec<_> = lines[..=more].iter().map(Line::text).collect();
        let heading = texts.join(" ");
        self.block(&format!("{} {heading}", "#".repeat(level)));
        self.title.get_or_insert(heading);
        more + 1
    }

    fn is_apart(&self, above: &Line, below: &Line) -> bool {
        let distance = (above.y - below.y) / below.size.max(above.size);
        // Upwards is the next column.
        distance < 0.0 || distance > self.style.leading * APART
    }

    fn stands_alone_in_bold(&self, lines: &[Line]) -> bool {
        let text = lines[0].text();
        let is_short = (2..=HEADING_CHARS_MAX / 2).contains(&text.chars().count());
        let is_sentence = text.ends_with(['.', ':', ',', ';', '!', '?']);
        let follows_text = lines.get(1).is_some_and(|next| !next.is_bold);
        lines[0].is_bold && lines[0].cells.len() == 1 && is_short && !is_sentence && follows_text
    }

    fn table(&mut self, rows: &[Line]) {
        let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let cells = |line: &Line| -> Vec<String> {
            let cells = line.cells.iter();
            cells
                .map(|cell| cell.text.trim().replace('|', "\\|"))
                .collect()
        };
        let mut lines: Vec<_> = rows.iter().map(|line| row(cells(line))).collect();
        lines.insert(1, row(vec!["-".to_owned(); rows[0].cells.len()]));
        self.block(&lines.join("\n"));
    }

    fn code(&mut self, lines: &[Line]) -> usize {
        let is_code = |pair: &[Line]| {
            let distance = (pair[0].y - pair[1].y) / pair[1].size;
            pair[1].is_mono && (0.0..self.style.leading * APART * 2.0).contains(&distance)
        };
        let lines = &lines[..=lines.windows(2).take_while(|pair| is_code(pair)).count()];
        let left = lines.iter().map(Line::x).fold(f64::INFINITY, f64::min);
        let mut code = String::new();
        for (at, line) in lines.iter().enumerate() {
            if at > 0 && self.is_apart(&lines[at - 1], line) {
                code.push('\n');
            }
            code.push_str(&" ".repeat(columns(line.x() - left, line.size)));
            let cells: Vec<_> = line.cells.iter().map(|cell| cell.text.trim_end()).collect();
            code.push_str(&cells.join("  "));
            code.push('\n');
        }
        let fence = if code.contains("```") { "````" } else { "```" };
        self.block(&format!("{fence}\n{code}{fence}"));
        lines.len()
    }

    fn paragraph(&mut self, lines: &[Line]) -> usize {
        let mut text = start(&lines[0].text());
        let mut taken = 1;
        for pair in lines.windows(2) {
            let (above, next) = (&pair[0], &pair[1]);
            let is_new = self.style.level(next).is_some()
                || next.is_mono
                || self.is_apart(above, next)
                || is_item(&next.text())
                || table_rows(&lines[taken..]).is_some();
            if is_new {
                break;
            }
            join(&mut text, &next.text());
            taken += 1;
        }
        self.block(&text);
        taken
    }
}

/// How many of the lines are the rows of a table: as many cells each, below each other however
/// their columns are aligned.
fn table_rows(lines: &[Line]) -> Option<usize> {
    let columns = lines.first()?.cells.len();
    if columns < 2 {
        return None;
    }
    let is_short = |line: &Line| {
        let mut cells = line.cells.iter();
        cells.all(|cell| cell.text.chars().count() <= CELL_CHARS_MAX)
    };
    let is_below = |above: &Line, below: &Line| {
        let mut pairs = above.cells.iter().zip(&below.cells);
        above.cells.len() == below.cells.len()
            && pairs.all(|(above, below)| above.x < below.end && below.x < above.end)
    };
    let rows = lines
        .iter()
        .take_while(|line| is_below(&lines[0], line) && is_short(line) && !line.is_mono)
        .count();
    (rows >= ROWS_MIN).then_some(rows)
}

fn is_item(text: &str) -> bool {
    text.starts_with(BULLETS) || number(text).is_some()
}

/// `12. ` or `12) ` at the start.
fn number(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    let rest = rest.strip_prefix(['.', ')'])?.strip_prefix(' ')?;
    (1..=3).contains(&digits.len()).then_some((digits, rest))
}

/// The first line of a paragraph: a bullet of Markdown's own, and nothing else that it would
/// read as one of its signs.
fn start(text: &str) -> String {
    if let Some(item) = text.strip_prefix(BULLETS) {
        return format!("- {}", item.trim_start());
    }
    match number(text) {
        Some((digits, rest)) => format!("{digits}. {rest}"),
        None if text.starts_with(['#', '>', '+', '`']) => format!("\\{text}"),
        None => text.to_owned(),
    }
}

/// A word that was parted at the end of a line is one again.
fn join(text: &mut String, next: &str) {
    let is_parted = |text: &str| {
        let word = text.strip_suffix(['-', '\u{ad}', '\u{2010}']);
        word.is_some_and(|word| word.ends_with(char::is_alphabetic))
    };
    if text.ends_with('\u{ad}') || is_parted(text) && next.starts_with(char::is_lowercase) {
        text.pop();
    } else {
        text.push(' ');
    }
    text.push_str(next);
}
