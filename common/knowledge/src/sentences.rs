//! The statements of a Markdown text, each exactly as it stands there.

use std::ops::Range;

/// What stands in a text, and what it is said of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) range: Range<usize>,
    /// What gives it its sense, without being one itself: the heading above it within the text,
    /// the first row of its table, the line that introduces its list.
    pub(crate) above: Vec<Range<usize>>,
}

/// Whole numbered lists are statements besides their items up to this length.
const LIST_BYTES_MAX: usize = 700;

/// The statements: sentences of paragraphs and list items, rows of tables, whole blocks of code,
/// and numbered lists as wholes, which mostly are instructions. Headings, the first rows of
/// tables and what only draws a table are none.
pub(crate) fn statements_of(markdown: &str) -> Vec<Statement> {
    let mut reader = Reader::default();
    let mut start = 0;
    let mut lines = markdown.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let range = start..start + line.trim_end().len();
        start += line.len();
        let is_header = lines.peek().is_some_and(|next| is_table_rule(next));
        reader.line(markdown, range, start, is_header);
    }
    reader.end_code();
    reader.end_list();
    reader.found
}

/// Their byte ranges alone, without the lists whose items are among them.
pub(crate) fn sentences(markdown: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for statement in statements_of(markdown) {
        let is_whole = ranges
            .last()
            .is_some_and(|last| statement.range.start < last.end);
        if !is_whole {
            ranges.push(statement.range);
        }
    }
    ranges
}

/// Where a text is being read.
#[derive(Debug, Default)]
struct Reader {
    found: Vec<Statement>,
    /// The content of the block of code that is open.
    code: Option<Range<usize>>,
    heading: Option<Range<usize>>,
    header_row: Option<Range<usize>>,
    lead_in: Option<Range<usize>>,
    /// The numbered list that is open, and its items so far.
    list: Option<(Range<usize>, usize)>,
}

impl Reader {
    fn line(&mut self, markdown: &str, line: Range<usize>, next: usize, is_header: bool) {
        let trimmed = markdown[line.clone()].trim_start();
        let is_fence = trimmed.starts_with("```");
        match (&mut self.code, is_fence) {
            (Some(_), true) => self.end_code(),
            (Some(code), false) => code.end = line.end,
            (None, true) => self.code = Some(next..next),
            (None, false) => self.text_line(markdown, line, is_header),
        }
    }

    fn end_code(&mut self) {
        if let Some(code) = self.code.take().filter(|code| !code.is_empty()) {
            self.push(code);
        }
    }

    fn end_list(&mut self) {
        if let Some((range, items)) = self.list.take()
            && items > 1
            && range.len() <= LIST_BYTES_MAX
        {
            self.push(range);
        }
    }

    fn text_line(&mut self, markdown: &str, line: Range<usize>, is_header: bool) {
        let trimmed = markdown[line.clone()].trim_start();
        let begin = line.end - trimmed.len();
        let marker = marker_length(trimmed);
        let is_numbered = marker > 0 && trimmed.starts_with(|c: char| c.is_ascii_digit());
        let is_indented = begin > line.start;
        let is_row = trimmed.starts_with('|');
        if !is_row {
            self.header_row = None;
        }
        if trimmed.is_empty() {
            return;
        }
        if let Some((list, _)) = self.list.as_mut().filter(|_| is_indented || is_numbered) {
            list.end = line.end;
        } else {
            self.end_list();
        }
        if trimmed.starts_with('#') {
            (self.heading, self.lead_in) = (Some(begin..line.end), None);
            return;
        }
        if trimmed.chars().all(|c| "|-:=*_ ".contains(c)) {
            return;
        }
        if is_row && is_header {
            self.header_row = Some(begin..line.end);
            return;
        }
        if is_row {
            self.push(begin..line.end);
            return;
        }
        if marker == 0 && !is_indented {
            self.lead_in = None;
        }
        if is_numbered {
            let (_, items) = self.list.get_or_insert((begin..line.end, 0));
            *items += 1;
        }
        let mut from = begin + marker;
        while let Some(length) = first_sentence(&markdown[from..line.end]) {
            self.push(from..from + length);
            let rest = &markdown[from + length..line.end];
            from = line.end - rest.trim_start().len();
        }
        if marker == 0 && trimmed.ends_with(':') {
            self.lead_in = Some(begin..line.end);
        }
    }

    fn push(&mut self, range: Range<usize>) {
        let above = [&self.heading, &self.header_row, &self.lead_in];
        self.found.push(Statement {
            range,
            above: above.into_iter().flatten().cloned().collect(),
        });
    }
}

fn is_table_rule(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('|') && line.contains('-') && line.chars().all(|c| "|-: ".contains(c))
}

/// Of `- `, `* `, `> ` and `1. `.
fn marker_length(line: &str) -> usize {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = &line[digits..];
    let is_marker = match digits {
        0 => rest.starts_with("- ") || rest.starts_with("* ") || rest.starts_with("> "),
        _ => rest.starts_with(". ") || rest.starts_with(") "),
    };
    if !is_marker {
        return 0;
    }
    let rest = &rest[2..];
    line.len() - rest.trim_start().len()
}

/// How long the first sentence is; `None` where nothing is left.
fn first_sentence(text: &str) -> Option<usize> {
    if text.trim().is_empty() {
        return None;
    }
    let mut ends = text
        .char_indices()
        .filter(|(_, c)| matches!(c, '.' | '!' | '?'));
    let end = ends.find_map(|(at, _)| {
        let after = &text[at + 1..];
        // A closing mark belongs to the sentence.
        let closing = after.len()
            - after
                .trim_start_matches(['"', '\'', ')', '*', '_', '`'])
                .len();
        let after = &after[closing..];
        let begins_anew = after.trim_start().starts_with(|c: char| !c.is_lowercase());
        let is_end = after.starts_with(char::is_whitespace) && begins_anew;
        (is_end && !is_abbreviation(&text[..at])).then_some(at + 1 + closing)
    });
    Some(end.unwrap_or(text.len()))
}

fn is_abbreviation(before: &str) -> bool {
    let word = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    let word = word.trim_start_matches(['(', '"']);
    [
        "e.g", "i.e", "etc", "approx", "no", "vs", "max", "min", "fig",
    ]
    .contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(markdown: &str) -> Vec<&str> {
        sentences(markdown)
            .into_iter()
            .map(|range| &markdown[range])
            .collect()
    }

    #[test]
    fn statements_are_told_apart() {
        let markdown = "## Cleaning\nRinse it. Use 2.5 l of water (e.g. From the tap).\n\n- Dry it!\n10. \"Done?\" Good.\n";
        let expected = [
            "Rinse it.",
            "Use 2.5 l of water (e.g. From the tap).",
            "Dry it!",
            "\"Done?\"",
            "Good.",
        ];
        assert_eq!(texts(markdown), expected);
    }

    #[test]
    fn rows_and_code_are_whole() {
        let markdown =
            "| Code | Meaning |\n|---|---|\n| E1 | No water. Fill up. |\n```sh\na. B\nc\n```\nEnd";
        let expected = ["| E1 | No water. Fill up. |", "a. B\nc", "End"];
        assert_eq!(texts(markdown), expected);
    }

    #[test]
    fn what_stands_above_is_known() {
        let markdown = "### Codes\n| Code | Meaning |\n|---|---|\n| E1 | Dry. |\n\nTo reset:\n\n1. Hold it.\n2. Let go.\n\nDone.";
        let found = statements_of(markdown);
        let above = |quote: &str| -> Vec<&str> {
            let is_it = |s: &&Statement| &markdown[s.range.clone()] == quote;
            let statement = found
                .iter()
                .find(is_it)
                .unwrap_or_else(|| panic!("{quote}"));
            statement
                .above
                .iter()
                .map(|r| &markdown[r.clone()])
                .collect()
        };
        assert_eq!(above("| E1 | Dry. |"), ["### Codes", "| Code | Meaning |"]);
        assert_eq!(above("Hold it."), ["### Codes", "To reset:"]);
        assert_eq!(above("1. Hold it.\n2. Let go."), ["### Codes", "To reset:"]);
        assert_eq!(above("Done."), ["### Codes"]);
        assert_eq!(texts(markdown).len(), 5);
    }

    #[test]
    fn odd_texts_are_survived() {
        for markdown in [
            "", "\n\n", "```", "```\n```", "...", "1.", "- ", "é. É!", "| |",
        ] {
            sentences(markdown);
        }
    }
}
