//! The statements of a Markdown text, each exactly as it stands there.

use std::ops::Range;

/// The byte ranges of the statements: sentences of paragraphs and list items, rows of tables,
/// and whole code blocks. Headings and what only draws a table are none.
pub(crate) fn sentences(markdown: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut code: Option<(usize, usize)> = None;
    let mut start = 0;
    for line in markdown.split_inclusive('\n') {
        let range = start..start + line.trim_end().len();
        start += line.len();
        let is_fence = line.trim_start().starts_with("```");
        match (code, is_fence) {
            (Some((from, to)), true) => {
                if to > from {
                    found.push(from..to);
                }
                code = None;
            }
            (Some((from, _)), false) => code = Some((from, range.end)),
            (None, true) => code = Some((start, start)),
            (None, false) => line_sentences(markdown, range, &mut found),
        }
    }
    // A chunk may end within a code block.
    if let Some((from, to)) = code.filter(|(from, to)| to > from) {
        found.push(from..to);
    }
    found
}

fn line_sentences(markdown: &str, line: Range<usize>, found: &mut Vec<Range<usize>>) {
    let text = &markdown[line.clone()];
    let trimmed = text.trim_start();
    let is_rule = trimmed.chars().all(|c| "|-:=*_ ".contains(c));
    if trimmed.starts_with('#') || is_rule {
        return;
    }
    if trimmed.starts_with('|') {
        found.push(line.end - trimmed.len()..line.end);
        return;
    }
    let marker = marker_length(trimmed);
    let mut from = line.end - trimmed.len() + marker;
    while let Some(length) = first_sentence(&markdown[from..line.end]) {
        found.push(from..from + length);
        let rest = &markdown[from + length..line.end];
        from = line.end - rest.trim_start().len();
    }
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
        let expected = [
            "| Code | Meaning |",
            "| E1 | No water. Fill up. |",
            "a. B\nc",
            "End",
        ];
        assert_eq!(texts(markdown), expected);
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
