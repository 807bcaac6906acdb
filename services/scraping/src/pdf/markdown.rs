//! Writes the lines of all pages as Markdown. Headings are told by their size or by standing
//! alone in bold, paragraphs by the space between lines, tables by cells that stand below each
//! other, code by its font. What repeats at the edges of most pages is left out.

mod blocks;
mod edges;

use std::collections::HashMap;

use self::blocks::Writer;
use super::lines::Line;

/// A heading is at least so much larger than the text.
const LARGER: f64 = 1.12;
const HEADING_CHARS_MAX: usize = 120;
const LEVELS_MAX: usize = 4;

pub(super) type Pages = Vec<Vec<Line>>;

/// What most of the document looks like.
#[derive(Debug)]
struct Style {
    size: f64,
    /// From one line to the next, in parts of the size.
    leading: f64,
    /// The sizes of headings in tenths of a point, largest first.
    headings: Vec<i64>,
}

/// The document, and its first heading.
pub(super) fn write(mut pages: Pages) -> (String, Option<String>) {
    edges::remove(&mut pages);
    let style = Style::of(&pages);
    let has_headings = pages
        .iter()
        .flatten()
        .any(|line| style.level(line).is_some());
    let several = pages.iter().filter(|lines| !lines.is_empty()).count() > 1;
    let mut writer = Writer::new(&style);
    for (number, lines) in (1..).zip(&pages) {
        if lines.is_empty() {
            continue;
        }
        match (several, has_headings) {
            // Without any structure of its own the pages are one.
            (true, false) => writer.block(&format!("## Page {number}")),
            (true, true) if !writer.is_empty() => writer.block("---"),
            _ => {}
        }
        writer.page(lines);
    }
    writer.finish()
}

impl Style {
    fn of(pages: &Pages) -> Self {
        let mut chars: HashMap<i64, usize> = HashMap::new();
        for line in pages.iter().flatten() {
            *chars.entry(tenths(line.size)).or_default() += line.text().len();
        }
        let most = chars.iter().max_by_key(|(size, chars)| (**chars, **size));
        let size = most.map_or(0, |(size, _)| *size);
        let mut style = Self {
            #[allow(clippy::cast_precision_loss, reason = "a font's size")]
            size: size as f64 / 10.0,
            leading: leading(pages),
            headings: Vec::new(),
        };
        let mut headings: Vec<_> = pages
            .iter()
            .flatten()
            .filter(|line| style.is_large(line))
            .map(|line| tenths(line.size))
            .collect();
        headings.sort_unstable_by(|a, b| b.cmp(a));
        headings.dedup();
        style.headings = headings;
        style
    }

    fn is_large(&self, line: &Line) -> bool {
        let text = line.text();
        line.size >= self.size * LARGER
            && text.chars().count() <= HEADING_CHARS_MAX
            && text.chars().any(char::is_alphabetic)
    }

    /// Of a heading; `None` for text.
    fn level(&self, line: &Line) -> Option<usize> {
        let size = tenths(line.size);
        let place = self.headings.iter().position(|&heading| heading == size)?;
        (self.is_large(line) && !line.is_mono).then_some((place + 1).min(LEVELS_MAX))
    }

    /// For a heading in the size of the text.
    fn level_below(&self) -> usize {
        (self.headings.len() + 1).clamp(2, LEVELS_MAX)
    }
}

fn tenths(size: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
    let tenths = (size * 10.0).round() as i64;
    tenths
}

/// The usual distance of two lines, in parts of their size.
fn leading(pages: &Pages) -> f64 {
    let pairs = pages.iter().flat_map(|lines| lines.windows(2));
    let mut distances: Vec<_> = pairs
        .map(|pair| (pair[0].y - pair[1].y) / pair[1].size)
        .filter(|distance| (0.8..2.5).contains(distance))
        .collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied().unwrap_or(1.2)
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
