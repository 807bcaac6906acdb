//! Text to word pieces, as BERT's uncased tokenizer makes them. The crate `tokenizers` does so
//! too, but is forty crates and a thread pool of its own for these lines; `tests/reference.py`
//! holds them against it, for each character of the scripts that have not grown since its tables
//! were made.
//!
//! One difference is wanted: `[SEP]` in a text is a text, not the end of the sequence.

use std::collections::HashMap;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

const WORD_CHARS_MAX: usize = 100;
const CONTINUES: &str = "##";

#[derive(Debug)]
pub(crate) struct Tokenizer {
    /// Pieces that begin a word, and those that continue one, without their mark.
    begin: HashMap<String, u32>,
    within: HashMap<String, u32>,
    piece_bytes_max: usize,
    unknown: u32,
    start: u32,
    end: u32,
}

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
}

impl Tokenizer {
    /// Out of a `tokenizer.json`; `None` where that is none of BERT's.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        Self::new(serde_json::from_slice::<File>(json).ok()?.model.vocab)
    }

    fn new(vocab: HashMap<String, u32>) -> Option<Self> {
        let special = |name: &str| vocab.get(name).copied();
        let (unknown, start, end) = (special("[UNK]")?, special("[CLS]")?, special("[SEP]")?);
        let (mut begin, mut within) = (HashMap::new(), HashMap::new());
        for (piece, id) in vocab {
            match piece.strip_prefix(CONTINUES) {
                Some(rest) => within.insert(rest.to_owned(), id),
                None => begin.insert(piece, id),
            };
        }
        let pieces = begin.keys().chain(within.keys());
        let piece_bytes_max = pieces.map(String::len).max().unwrap_or(0);
        Some(Self {
            begin,
            within,
            piece_bytes_max,
            unknown,
            start,
            end,
        })
    }

    /// At most `max` pieces, with the marks of start and end; the rest of the text is left out.
    pub(crate) fn encode(&self, text: &str, max: usize) -> Vec<u32> {
        let mut ids = vec![self.start];
        let mut word = String::new();
        for c in normalized(text) {
            // A text may be long: look no further than is needed.
            if ids.len() >= max {
                break;
            }
            if c.is_whitespace() || is_punctuation(c) {
                self.pieces(&word, &mut ids);
                word.clear();
                if !c.is_whitespace() {
                    self.pieces(c.encode_utf8(&mut [0; 4]), &mut ids);
                }
            } else {
                word.push(c);
            }
        }
        self.pieces(&word, &mut ids);
        ids.truncate(max - 1);
        ids.push(self.end);
        ids
    }

    /// The longest piece that fits, again and again; a word that cannot be made of pieces is
    /// unknown as a whole.
    fn pieces(&self, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let known = ids.len();
        let mut rest = word;
        if word.chars().count() > WORD_CHARS_MAX {
            ids.push(self.unknown);
            return;
        }
        while !rest.is_empty() {
            let pieces = if rest.len() == word.len() {
                &self.begin
            } else {
                &self.within
            };
            let longest = rest.len().min(self.piece_bytes_max);
            let found = (1..=longest)
                .rev()
                .filter_map(|bytes| rest.get(..bytes))
                .find_map(|piece| Some((piece.len(), *pieces.get(piece)?)));
            let Some((bytes, id)) = found else {
                ids.truncate(known);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = &rest[bytes..];
        }
    }
}

/// Without control characters and accents, in lower case, ideographs apart.
fn normalized(text: &str) -> impl Iterator<Item = char> + '_ {
    let clean = text.chars().filter(|c| !is_dropped(*c));
    let apart = clean.flat_map(|c| {
        let space = is_ideograph(c).then_some(' ');
        space.into_iter().chain([c]).chain(space)
    });
    let bare = apart
        .nfd()
        .filter(|c| c.is_ascii() || c.general_category() != GeneralCategory::NonspacingMark);
    bare.flat_map(char::to_lowercase)
}

fn is_dropped(c: char) -> bool {
    if matches!(c, '\t' | '\n' | '\r' | ' '..='~') {
        return false;
    }
    // What is not assigned stays: it may have become a letter since our tables were made.
    c == '\u{fffd}'
        || c.general_category_group() == GeneralCategoryGroup::Other
            && c.general_category() != GeneralCategory::Unassigned
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The blocks that BERT means by Chinese characters.
fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}'
        | '\u{2a700}'..='\u{2b73f}' | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}'
        | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB: [&str; 14] = [
        "[UNK]", "[CLS]", "[SEP]", "the", "pump", "##s", "un", "##aff", "##able", "cafe", "!",
        "水", "[", "]",
    ];

    fn encode(text: &str, max: usize) -> Vec<&'static str> {
        let vocab = (0..).zip(VOCAB).map(|(id, piece)| (piece.to_owned(), id));
        let tokenizer = Tokenizer::new(vocab.collect()).unwrap();
        let ids = tokenizer.encode(text, max).into_iter();
        ids.map(|id| VOCAB[id as usize]).collect()
    }

    #[test]
    fn words_become_the_longest_pieces() {
        for (text, pieces) in [
            ("", vec![]),
            (" \t\n", vec![]),
            ("The PUMPS!", vec!["the", "pump", "##s", "!"]),
            ("unaffable", vec!["un", "##aff", "##able"]),
            ("unaffabl", vec!["[UNK]"]),
            ("Café\u{301} ca\u{0}fe\u{200b}", vec!["cafe", "cafe"]),
            ("水水pump", vec!["水", "水", "pump"]),
            ("[SEP]", vec!["[", "[UNK]", "]"]),
        ] {
            let got = encode(text, 256);
            assert_eq!(got[1..got.len() - 1], pieces, "{text:?}");
            assert_eq!((got[0], got[got.len() - 1]), ("[CLS]", "[SEP]"));
        }
        assert_eq!(encode(&"pump".repeat(26), 9), ["[CLS]", "[UNK]", "[SEP]"]);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let pieces = encode(&"the pumps ".repeat(100_000), 6);
        assert_eq!(pieces, ["[CLS]", "the", "pump", "##s", "the", "[SEP]"]);
    }
}
