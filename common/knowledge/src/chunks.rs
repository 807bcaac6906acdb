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
pub(crate) const CHUNKS_MAX: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Chunked {
    /// Of the first heading of the first level, where there is one.
    pub title: Option<String>,
    pub chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the document has {0} chunks: at most {CHUNKS_MAX} are taken; split it up")]
pub struct TooManyChunks(pub usize);

struct Section {
    headings: Vec<String>,
    range: Range<usize>,
}

/// Cuts the text of a document that may have a title of its own already. Without text there are
/// no chunks.
pub fn chunk(markdown: &str, known_title: Option<&str>) -> Result<Chunked, TooManyChunks> {
    let (title, sections) = sections(markdown, known_title);
    let config = ChunkConfig::new(CHUNK_CHARS)
        .with_overlap(OVERLAP_CHARS)
        .ok()
        .unwrap_or_else(|| ChunkConfig::new(CHUNK_CHARS));
    let splitter = MarkdownSplitter::new(config);
    let mut chunks = Vec::new();
    for section in sections {
        for piece in pieces(&markdown[section.range]) {
            chunks.extend(splitter.chunks(piece).map(|text| Chunk {
                headings: section.headings.clone(),
                text: text.to_owned(),
                vector: None,
            }));
        }
    }
    if chunks.len() > CHUNKS_MAX {
        return Err(TooManyChunks(chunks.len()));
    }
    Ok(Chunked { title, chunks })
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
fn sections(markdown: &str, known_title: Option<&str>) -> (Option<String>, Vec<Section>) {
    // A first heading that says something else than the title is no repetition of it: "Page 7"
    // of a site may be headed "Pump P-7".
    let is_repeated = |heading: &str| {
        known_title.is_none_or(|known| known.trim().eq_ignore_ascii_case(heading.trim()))
    };
    let mut title = None;
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut sections: Vec<Section> = Vec::new();
    let (mut start, mut body, mut is_code) = (0, 0, false);
    let close = |sections: &mut Vec<Section>, path: &[(usize, String)], range: Range<usize>| {
        let length = markdown[range.clone()].trim().chars().count();
        match sections.last_mut() {
            // Too short to be found by itself; the headings of both stand in its text.
            Some(before) if length < TINY_CHARS && length > 0 && is_within(before, path) => {
                before.range.end = range.end;
            }
            _ if length == 0 => {}
            _ => sections.push(Section {
                headings: path.iter().map(|(_, heading)| heading.clone()).collect(),
                range,
            }),
        }
    };
    for line in markdown.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if let Some((level, heading)) = heading(line).filter(|_| !is_code) {
            close(&mut sections, &path, body..start);
            if level == 1 && title.is_none() {
                title = Some(heading.clone());
                path.clear();
                if !is_repeated(&heading) {
                    path.push((level, heading));
                }
            } else {
                path.retain(|(above, _)| *above < level);
                path.push((level, heading));
            }
            body = start + line.len();
        }
        start += line.len();
    }
    close(&mut sections, &path, body..start);
    (title, sections)
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

fn heading(line: &str) -> Option<(usize, String)> {
    let level = line.len() - line.trim_start_matches('#').len();
    let text = line.get(level..)?;
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    let text = text.trim().trim_end_matches('#').trim_end();
    (is_heading && !text.is_empty()).then(|| (level, text.to_owned()))
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
        let text = "word ".repeat(350_000);
        assert!(chunk(&text, None).is_err());
        assert_eq!(chunk(" \n", None).unwrap().chunks, []);
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
