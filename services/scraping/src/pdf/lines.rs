//! Puts the pieces of a page's text into lines, by where they stand. The order is the file's:
//! it is the order of reading, also where a page has columns.

use super::page::Piece;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// More than one where wide gaps part them, as in the row of a table.
    pub(super) cells: Vec<Cell>,
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) is_bold: bool,
    pub(super) is_mono: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) x: f64,
    pub(super) end: f64,
    pub(super) text: String,
}

/// In parts of the font's size: what is set apart by this much is another word.
const WORD_GAP: f64 = 0.15;
/// And by this much another cell.
const CELL_GAP: f64 = 1.3;
/// How far up or down a piece may stand and still be of the line: superscripts do.
const SAME_LINE: f64 = 0.4;
/// Of characters in fonts where all are as wide.
const MONO_WIDTH: f64 = 0.6;
/// Fewer are an ellipsis.
const LEADERS_MIN: usize = 4;
/// More characters side by side than a page has room for.
const COLUMNS_MAX: f64 = 200.0;

pub(super) fn of_page(pieces: Vec<Piece>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for piece in pieces {
        match lines.last_mut().filter(|line| line.goes_on_with(&piece)) {
            Some(line) => line.add(&piece),
            None => lines.push(Line::start(piece)),
        }
    }
    for line in &mut lines {
        for cell in &mut line.cells {
            cell.text = clean(&cell.text);
            if !line.is_mono {
                cell.text = without_leaders(&cell.text);
            }
        }
    }
    lines.retain_mut(|line| {
        line.cells.retain(|cell| !cell.text.trim().is_empty());
        !line.cells.is_empty()
    });
    lines
}

impl Line {
    pub(super) fn x(&self) -> f64 {
        self.cells.first().map_or(0.0, |cell| cell.x)
    }

    pub(super) fn end(&self) -> f64 {
        self.cells.last().map_or(0.0, |cell| cell.end)
    }

    pub(super) fn text(&self) -> String {
        let texts: Vec<_> = self.cells.iter().map(|cell| cell.text.trim()).collect();
        texts.join(" ")
    }

    fn start(piece: Piece) -> Self {
        Self {
            y: piece.y,
            size: piece.size,
            is_bold: piece.is_bold,
            is_mono: piece.is_mono,
            cells: vec![Cell {
                x: piece.x,
                end: piece.end,
                text: piece.text,
            }],
        }
    }

    fn goes_on_with(&self, piece: &Piece) -> bool {
        let size = self.size.max(piece.size);
        (self.y - piece.y).abs() < SAME_LINE * size && piece.x > self.end() - size
    }

    fn add(&mut self, piece: &Piece) {
        // A line is as bold as all of it, and as large as its largest.
        let is_blank = piece.text.trim().is_empty();
        self.is_bold &= piece.is_bold || is_blank;
        self.is_mono &= piece.is_mono || is_blank;
        self.size = self.size.max(piece.size);
        let Some(cell) = self.cells.last_mut() else {
            return;
        };
        let gap = piece.x - cell.end;
        if self.is_mono {
            cell.text.push_str(&" ".repeat(columns(gap, piece.size)));
        } else if gap > CELL_GAP * piece.size && !is_blank {
            self.cells.push(Cell {
                x: piece.x,
                end: piece.end,
                text: piece.text.clone(),
            });
            return;
        } else if gap > WORD_GAP * piece.size && !cell.text.ends_with(' ') {
            cell.text.push(' ');
        }
        cell.text.push_str(&piece.text);
        cell.end = cell.end.max(piece.end);
    }
}

/// How many characters of a font where all are as wide fit into a gap.
pub(super) fn columns(gap: f64, size: f64) -> usize {
    let columns = (gap / (MONO_WIDTH * size)).round();
    columns.clamp(0.0, COLUMNS_MAX) as usize
}

/// Ligatures become letters, and what cannot be seen goes.
fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\u{fb00}' => cleaned.push_str("ff"),
            '\u{fb01}' => cleaned.push_str("fi"),
            '\u{fb02}' => cleaned.push_str("fl"),
            '\u{fb03}' => cleaned.push_str("ffi"),
            '\u{fb04}' => cleaned.push_str("ffl"),
            '\u{a0}' | '\t' => cleaned.push(' '),
            '\u{200b}' | '\u{feff}' | char::REPLACEMENT_CHARACTER => {}
            // At the end of a line it is a hyphen; see `markdown`.
            '\u{ad}' => cleaned.push('\u{ad}'),
            letter if letter.is_control() => {}
            letter => cleaned.push(letter),
        }
    }
    cleaned
}

/// The dots that lead from a chapter's name to its page say nothing more than one sign.
fn without_leaders(text: &str) -> String {
    let is_sign = |letter: char| matches!(letter, '.' | ':' | '·' | '…');
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_sign) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|letter| !is_sign(letter) && letter != ' ');
        let (run, after) = from.split_at(end.unwrap_or(from.len()));
        kept.push_str(before);
        if run.chars().filter(|&letter| is_sign(letter)).count() >= LEADERS_MIN {
            kept.truncate(kept.trim_end().len());
            kept.push_str(" … ");
        } else {
            kept.push_str(run);
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, x: f64, y: f64, end: f64) -> Piece {
        Piece {
            text: text.to_owned(),
            x,
            y,
            end,
            size: 10.0,
            is_bold: false,
            is_mono: false,
        }
    }

    #[test]
    fn gaps_part_words_and_cells() {
        let lines = of_page(vec![
            piece("Pres", 0.0, 100.0, 20.0),
            piece("sure", 20.1, 100.0, 40.0),
            piece("of", 43.0, 100.0, 50.0),
            piece("8 bar", 120.0, 100.0, 140.0),
            piece("2", 141.0, 103.0, 144.0),
            piece("next \u{fb01}rst", 0.0, 88.0, 30.0),
            piece("  ", 0.0, 76.0, 5.0),
        ]);
        let cells = |line: &Line| {
            let texts: Vec<_> = line.cells.iter().map(|cell| cell.text.clone()).collect();
            texts.join("|")
        };
        let found: Vec<_> = lines.iter().map(cells).collect();
        assert_eq!(found, ["Pressure of|8 bar2", "next first"]);
    }

    #[test]
    fn leaders_are_one_sign() {
        let table = [
            ("2.1 Syntax : : : : : : 2", "2.1 Syntax … 2"),
            ("Start.......... 7", "Start … 7"),
            ("and so on... 1.2.3: a::b.", "and so on... 1.2.3: a::b."),
        ];
        for (text, expected) in table {
            assert_eq!(without_leaders(text), expected);
        }
    }
}
