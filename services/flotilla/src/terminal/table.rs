//! Columns that line up, and fit where they are shown.

use unicode_width::UnicodeWidthStr;

use super::{Screen, Tone, one_line};

const GAP: &str = "  ";
/// Nothing is cut shorter.
const NARROWEST: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    is_number: bool,
    /// Cut where there is no room for it.
    gives_way: bool,
}

impl Column {
    pub(crate) const fn text(title: &'static str) -> Self {
        Self {
            title,
            is_number: false,
            gives_way: false,
        }
    }

    pub(crate) const fn number(title: &'static str) -> Self {
        Self {
            is_number: true,
            ..Self::text(title)
        }
    }

    /// Prose, which may be cut.
    pub(crate) const fn prose(title: &'static str) -> Self {
        Self {
            gives_way: true,
            ..Self::text(title)
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        let text = one_line(text.as_ref());
        Self { text, tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// With a line end after each row.
    pub(crate) fn show(&self, screen: Screen) -> String {
        let widths = self.widths(screen.width);
        let head = self
            .columns
            .iter()
            .map(|column| Cell::toned(column.title, Tone::Faint));
        let head: Vec<Cell> = head.collect();
        let rows = std::iter::once(&head).chain(&self.rows);
        rows.map(|row| self.line(row, &widths, screen)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], screen: Screen) -> String {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let text = cut(&cell.text, *width);
            let room = " ".repeat(width - text.width());
            let text = screen.paint(cell.tone, &text);
            let (before, after) = match column.is_number {
                true => (room.as_str(), ""),
                false => ("", room.as_str()),
            };
            line.push_str(before);
            line.push_str(&text);
            line.push_str(after);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    fn widths(&self, fit: Option<usize>) -> Vec<usize> {
        let widest = |(n, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(n));
            let cells = cells.map(|cell| cell.text.width());
            cells.chain([column.title.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(widest).collect();
        let Some(fit) = fit else {
            return widths;
        };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > fit {
            let columns = widths.iter_mut().zip(&self.columns);
            let giving = columns.filter(|(width, column)| column.gives_way && **width > NARROWEST);
            match giving.max_by_key(|(width, _)| **width) {
                Some((width, _)) => *width -= 1,
                None => break,
            }
        }
        widths
    }
}

/// At most so many cells, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if cut.width() + c.to_string().width() + 1 > width {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [
            Column::text("ID"),
            Column::number("N"),
            Column::prose("WHY"),
        ];
        let mut table = Table::new(columns);
        table.row(["a".into(), "7".into(), "it is a long story".into()]);
        table.row(["日本".into(), "12".into(), "\x1b[31mred".into()]);
        table
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let expected = "ID     N  WHY\na      7  it is a long story\n日本  12   [31mred\n";
        assert_eq!(table().show(Screen::plain(None)), expected);
    }

    #[test]
    fn prose_gives_way_and_no_line_is_too_long() {
        let shown = table().show(Screen::plain(Some(20)));
        assert!(shown.contains("it is a l…"), "{shown}");
        assert!(shown.lines().all(|line| line.width() <= 20), "{shown}");
        // Where it cannot fit, what tells things apart stays whole.
        assert!(table().show(Screen::plain(Some(5))).contains("日本"));
    }

    #[test]
    fn colours_do_not_count() {
        let mut table = Table::new([Column::text("A"), Column::text("B")]);
        table.row([Cell::toned("x", Tone::Good), "y".into()]);
        let coloured = Screen {
            has_colours: true,
            ..Screen::plain(None)
        };
        assert!(table.show(coloured).ends_with("\x1b[32mx\x1b[0m  y\n"));
    }
}
