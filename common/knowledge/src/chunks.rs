//! Cuts a Markdown text into chunks that are short enough to be about one thing. Every chunk is
//! a part of the text as it stands, under the headings that it stands under.

use std::ops::Range;

use text_splitter::{ChunkConfig, MarkdownSplitter};

use crate::Chunk;

/// In characters: near the 160 to 220 tokens at which small embedding models are best.
const CHUNK_CHARS: Range<usize> = 700..900;
/// What two neighbours share, so that a statement across their border is whole in one of them.
const OVERLAP_CHARS: usize = 120;
/// A section below this joins the one before it.
const TINY_CHARS: usize = 120;
const PIECE_BYTES: usize = 32 * 1_024;
const CHUNKS_MAX: usize = 2_000;
/// Every chunk has the headings above it, and its document's title, once more.
const HEADING_CHARS_MAX: usize = 300;

#[derive(Debug, Clone, PartialEq)]
pub struct Chunked {
    /// Of the first heading of the first level, where there is one.
    pub title: Option<String>,
    pub chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the document has more than {CHUNKS_MAX} chunks, which are the most that are taken; split it up"
)]
pub struct TooManyChunks;

struct Section {
    headings: Vec<String>,
    range: Range<usize>,
}

/// Cuts the text of a document that may have a title of its own already. Without text there are
/// no chunks. It takes its time with a long text: not for a thread that others wait for.
pub fn chunk(markdown: &str, known_title: Option<&str>) -> Result<Chunked, TooManyChunks> {
    let Outline {
        title, sections, ..
    } = Outline::of(markdown, known_title)?;
    let config = ChunkConfig::new(CHUNK_CHARS)
        .with_overlap(OVERLAP_CHARS)
        .ok()
        .unwrap_or_else(|| ChunkConfig::new(CHUNK_CHARS));
    let splitter = MarkdownSplitter::new(config);
    let mut chunks = Vec::new();
    for section in sections {
        for piece in pieces(&markdown[section.range]) {
            for text in splitter.chunks(piece) {
                if chunks.len() == CHUNKS_MAX {
                    return Err(TooManyChunks);
                }
                chunks.push(Chunk {
                    headings: section.headings.clone(),
                    text: text.to_owned(),
                    vector: None,
                });
            }
        }
    }
    Ok(Chunked { title, chunks })
}

/// A heading or a title as it stands beside each chunk: the beginning of one that is too long to
/// be repeated.
pub fn short(heading: &str) -> &str {
    match heading.char_indices().nth(HEADING_CHARS_MAX) {
        Some((end, _)) => heading[..end].trim_end(),
        None => heading,
    }
}

/// The splitter's time for a chunk grows with the length of what it is given (17 ms at 2 MB), so
/// that it is given long sections in pieces: paragraphs, lines or words as they come to hand.
fn pieces(section: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), section);
    while rest.len() > PIECE_BYTES {
        let mut length = PIECE_BYTES;
        while !rest.is_char_boundary(length) {
            length -= 1;
        }
        let window = &rest[..length];
        let late = window.len() / 2;
        let end = ["\n\n", "\n", " "]
            .iter()
            .find_map(|end| window.rfind(end).filter(|at| *at > late))
            .unwrap_or(window.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// The text between headings, each with the headings above it.
struct Outline<'a> {
    markdown: &'a str,
    title: Option<String>,
    /// The headings above where the reader is, with their levels.
    path: Vec<(usize, String)>,
    sections: Vec<Section>,
}

impl<'a> Outline<'a> {
    fn of(markdown: &'a str, known_title: Option<&str>) -> Result<Self, TooManyChunks> {
        let mut outline = Self {
            markdown,
            title: None,
            path: Vec::new(),
            sections: Vec::new(),
        };
        let (mut start, mut body, mut is_code) = (0, 0, false);
        for line in markdown.split_inclusive('\n') {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            let end = start + line.len();
            if let Some((level, whole)) = heading(line).filter(|_| !is_code) {
                outline.close(body..start)?;
                let heading = short(whole);
                outline.descend(level, heading, known_title);
                // What a long heading loses by being cut is found in the text below it.
                body = if heading.len() < whole.len() {
                    start
                } else {
                    end
                };
            }
            start = end;
        }
        outline.close(body..start)?;
        Ok(outline)
    }

    /// What follows stands under this heading.
    fn descend(&mut self, level: usize, heading: &str, known_title: Option<&str>) {
        if level > 1 || self.title.is_some() {
            self.path.retain(|(above, _)| *above < level);
            self.path.push((level, heading.to_owned()));
            return;
        }
        self.title = Some(heading.to_owned());
        self.path.clear();
        // A first heading that says something else than the title is no repetition of it: "Page 7"
        // of a site may be headed "Pump P-7".
        let is_repeated =
            known_title.is_none_or(|known| short(known.trim()).eq_ignore_ascii_case(heading));
        if !is_repeated {
            self.path.push((level, heading.to_owned()));
        }
    }

    /// Ends the section of this range.
    fn close(&mut self, range: Range<usize>) -> Result<(), TooManyChunks> {
        let length = self.markdown[range.clone()].trim().chars().count();
        // Each has a chunk at least.
        let is_full = self.sections.len() == CHUNKS_MAX;
        match self.sections.last_mut() {
            // Too short to be found by itself; the headings of both stand in its text.
            Some(before) if length < TINY_CHARS && length > 0 && is_within(before, &self.path) => {
                before.range.end = range.end;
            }
            _ if length == 0 => {}
            _ if is_full => return Err(TooManyChunks),
            _ => self.sections.push(Section {
                headings: self
                    .path
                    .iter()
                    .map(|(_, heading)| heading.clone())
                    .collect(),
                range,
            }),
        }
        Ok(())
    }
}

/// Whether what stands under this path may join the section without being torn from its context.
fn is_within(section: &Section, path: &[(usize, String)]) -> bool {
    let shared = section
        .headings
        .iter()
        .zip(path)
        .filter(|(a, (_, b))| *a == b);
    let above = path.len().saturating_sub(1);
    shared.count() >= above.min(section.headings.len()) && above > 0
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.len() - line.trim_start_matches('#').len();
    let text = line.get(level..)?;
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    let text = text.trim().trim_end_matches('#').trim_end();
    (is_heading && !text.is_empty()).then_some((level, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filler(word: &str) -> String {
        format!("The {word} has to be looked after every week. ").repeat(4)
    }

    #[test]
    fn chunks_stand_under_their_headings() {
        let text = format!(
            "# Pump\n{}\n## Care\n{}\n### Filter\n{}\n## Parts\n```\n# no heading\n```\n{}",
            filler("pump"),
            filler("care"),
            filler("filter"),
            filler("part")
        );
        let chunked = chunk(&text, None).unwrap();
        assert_eq!(chunked.title.as_deref(), Some("Pump"));
        let headings: Vec<_> = chunked
            .chunks
            .iter()
            .map(|c| c.headings.join("/"))
            .collect();
        assert_eq!(headings, ["", "Care", "Care/Filter", "Parts"]);
        assert!(chunked.chunks[3].text.contains("# no heading"));
    }

    #[test]
    fn a_heading_that_is_not_the_title_stays() {
        let headings = |title: Option<&str>| {
            let chunked = chunk("# Pump P-7\n\nHold the button.", title).unwrap();
            chunked.chunks[0].headings.clone()
        };
        assert_eq!(headings(Some("Page 7")), ["Pump P-7"]);
        for title in [None, Some(" pump p-7")] {
            assert_eq!(headings(title), Vec::<String>::new());
        }
    }

    #[test]
    fn long_sections_are_cut_and_overlap() {
        let text: String = (0..200)
            .map(|n| format!("Sentence number {n} stands here. "))
            .collect();
        let chunks = chunk(&text, None).unwrap().chunks;
        assert!(chunks.len() > 5);
        for pair in chunks.windows(2) {
            assert!(pair[0].text.chars().count() <= CHUNK_CHARS.end);
            let end = text.find(&pair[0].text).unwrap() + pair[0].text.len();
            assert!(text.find(&pair[1].text).unwrap() < end, "no overlap");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        for text in [
            "word ".repeat(350_000),
            "# a\nb\n".repeat(CHUNKS_MAX + 1),
            "x".repeat(4 * 1_024 * 1_024),
        ] {
            assert_eq!(chunk(&text, None), Err(TooManyChunks));
        }
        let most = chunk(&"# a\nb\n".repeat(CHUNKS_MAX), None).unwrap();
        assert_eq!(most.chunks.len(), CHUNKS_MAX);
        assert_eq!(chunk(" \n", None).unwrap().chunks, []);
    }

    #[test]
    fn a_long_heading_is_not_multiplied_and_its_words_stay() {
        let long = format!("Über{} end", " word".repeat(50_000));
        let sections = format!("## Part\n{}\n", filler("part")).repeat(1_000);
        let text = format!("# Manual\n# {long}\n{sections}");
        let chunks = chunk(&text, Some("Manual")).unwrap().chunks;
        let heading_bytes = chunks.iter().flat_map(|c| &c.headings).map(String::len);
        assert!(heading_bytes.sum::<usize>() < text.len());
        assert_eq!(chunks.last().unwrap().headings, [short(&long), "Part"]);
        let in_text = |words: &str| chunks.iter().any(|c| c.text.contains(words));
        assert!(in_text("Über word") && in_text("word end"));

        let text = format!("# {long}\nText.");
        assert_eq!(
            chunk(&text, Some(&long)).unwrap().chunks[0].headings.len(),
            0
        );
        assert_eq!(
            chunk(&text, None).unwrap().title.as_deref(),
            Some(short(&long))
        );
    }

    #[test]
    fn usual_headings_are_whole() {
        for (length, kept) in [(0, 0), (299, 299), (300, 300), (301, 300), (9_000, 300)] {
            assert_eq!(short(&"é".repeat(length)).chars().count(), kept, "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_chunk_is_a_part_of_the_text(text in "([#|`a-zé.\n -]{0,40}\n){0,40}") {
            for chunk in chunk(&text, None).unwrap().chunks {
                prop_assert!(text.contains(&chunk.text));
            }
        }
    }
}
