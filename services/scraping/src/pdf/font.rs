//! What a font says about its codes: which text they stand for, and how wide they are.

use std::collections::HashMap;

use lopdf::{Dictionary, Document, Encoding, Object};

use super::matrix::number_of;

#[derive(Debug)]
pub(super) struct Font<'a> {
    codes: Codes<'a>,
    /// In thousandths of the font's size.
    widths: HashMap<u16, f64>,
    default_width: Option<f64>,
    pub(super) is_bold: bool,
    pub(super) is_mono: bool,
}

#[derive(Debug)]
enum Codes<'a> {
    /// One byte each, written out.
    Simple(Vec<String>),
    /// Two bytes each.
    Composite(Encoding<'a>),
    /// Two bytes each, which are UTF-16.
    Unicode,
    /// Two bytes each, and nobody says what they mean.
    Unknown,
}

/// A code with its text.
#[derive(Debug)]
pub(super) struct Glyph {
    pub(super) text: String,
    pub(super) width: f64,
    /// Word spacing applies to it.
    pub(super) is_space: bool,
}

impl<'a> Font<'a> {
    pub(super) fn of(
        font: &'a Dictionary,
        document: &'a Document,
        inflated_bytes_max: usize,
    ) -> lopdf::Result<Self> {
        let is_composite = font
            .get(b"Subtype")
            .and_then(Object::as_name)
            .is_ok_and(|name| name == b"Type0");
        let to_unicode = to_unicode(font, document, inflated_bytes_max)?;
        let name = font.get_deref(b"BaseFont", document);
        let name = name.and_then(Object::as_name).unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_lowercase();
        let is_one_of = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let is_mono = is_one_of(&["courier", "mono", "consol", "menlo", "typewriter", "cmtt"]);
        let (widths, default_width) = match is_composite {
            true => composite_widths(font, document),
            false => (simple_widths(font, document), is_mono.then_some(600.0)),
        };
        let codes = match is_composite {
            true => composite(font, to_unicode),
            false => Codes::Simple(table(font, document, to_unicode, inflated_bytes_max)?),
        };
        Ok(Self {
            codes,
            widths,
            default_width,
            is_bold: is_one_of(&["bold", "black", "heavy", "cmbx"]),
            is_mono,
        })
    }

    pub(super) fn is_readable(&self) -> bool {
        !matches!(self.codes, Codes::Unknown)
    }

    pub(super) fn glyphs(&self, bytes: &[u8]) -> Vec<Glyph> {
        let glyph = |code: u16, text: String, is_space| {
            let width = self.widths.get(&code).copied().or(self.default_width);
            let width = width.unwrap_or_else(|| usual_width(&text));
            Glyph {
                text,
                width,
                is_space,
            }
        };
        if let Codes::Simple(table) = &self.codes {
            let text = |byte: u8| table.get(usize::from(byte)).cloned().unwrap_or_default();
            let glyphs = bytes
                .iter()
                .map(|&byte| glyph(byte.into(), text(byte), byte == b' '));
            return glyphs.collect();
        }
        let codes = bytes.chunks(2).map(|pair| {
            let code = pair
                .iter()
                .fold(0, |code, &byte| code << 8 | u16::from(byte));
            glyph(code, self.composite_text(pair), false)
        });
        codes.collect()
    }

    fn composite_text(&self, pair: &[u8]) -> String {
        match &self.codes {
            Codes::Composite(encoding) => encoding.bytes_to_string(pair).unwrap_or_default(),
            Codes::Unicode => encoding_rs::UTF_16BE
                .decode_without_bom_handling(pair)
                .0
                .into_owned(),
            Codes::Simple(_) | Codes::Unknown => String::new(),
        }
    }
}

/// The font's own table of what its codes mean, made for copying text: it is right where the
/// names of the glyphs are not.
fn to_unicode(
    font: &Dictionary,
    document: &Document,
    inflated_bytes_max: usize,
) -> lopdf::Result<Option<Encoding<'static>>> {
    let Ok(table) = font.get_deref(b"ToUnicode", document) else {
        return Ok(None);
    };
    let name = |name: &str| Object::Name(name.into());
    let only = Dictionary::from_iter([
        ("Type", name("Font")),
        ("Encoding", name("Identity-H")),
        ("ToUnicode", table.clone()),
    ]);
    match only.get_font_encoding_with_limit(document, inflated_bytes_max)? {
        Encoding::UnicodeMapEncoding(map) => Ok(Some(Encoding::UnicodeMapEncoding(map))),
        _ => Ok(None),
    }
}

fn composite<'a>(font: &Dictionary, to_unicode: Option<Encoding<'a>>) -> Codes<'a> {
    if let Some(encoding) = to_unicode {
        return Codes::Composite(encoding);
    }
    let name = font.get(b"Encoding").and_then(Object::as_name);
    let name = String::from_utf8_lossy(name.unwrap_or_default());
    match name.starts_with("Uni") && (name.contains("UCS2") || name.contains("UTF16")) {
        true => Codes::Unicode,
        false => Codes::Unknown,
    }
}

fn table(
    font: &Dictionary,
    document: &Document,
    to_unicode: Option<Encoding>,
    inflated_bytes_max: usize,
) -> lopdf::Result<Vec<String>> {
    let named = font.get_font_encoding_with_limit(document, inflated_bytes_max)?;
    let text = |encoding: &Encoding, byte| encoding.bytes_to_string(&[byte]).unwrap_or_default();
    let table = (0..=u8::MAX).map(|byte| {
        let mapped = to_unicode.as_ref().map(|encoding| text(encoding, byte));
        mapped
            .filter(|text| !text.is_empty() && !text.contains(char::REPLACEMENT_CHARACTER))
            .unwrap_or_else(|| text(&named, byte))
    });
    Ok(table.collect())
}

fn simple_widths(font: &Dictionary, document: &Document) -> HashMap<u16, f64> {
    let first = font
        .get_deref(b"FirstChar", document)
        .and_then(Object::as_i64);
    let first = first.ok().and_then(|first| u16::try_from(first).ok());
    let widths = font
        .get_deref(b"Widths", document)
        .and_then(Object::as_array);
    let widths = widths.map(Vec::as_slice).unwrap_or_default();
    (first.unwrap_or(0)..=255)
        .zip(widths)
        .filter_map(|(code, width)| Some((code, resolved(width, document)?)))
        .collect()
}

/// `[ code [width …] first last width … ]` (ISO 32000, 9.7.4.3).
fn composite_widths(font: &Dictionary, document: &Document) -> (HashMap<u16, f64>, Option<f64>) {
    let fonts = font
        .get_deref(b"DescendantFonts", document)
        .and_then(Object::as_array);
    let font = fonts
        .ok()
        .and_then(|fonts| document.dereference(fonts.first()?).ok())
        .and_then(|(_, font)| font.as_dict().ok());
    let mut widths = HashMap::new();
    let Some(font) = font else {
        return (widths, None);
    };
    let default = font.get(b"DW").ok().and_then(number_of).unwrap_or(1000.0);
    let entries = font.get_deref(b"W", document).and_then(Object::as_array);
    let mut entries = entries.map(Vec::as_slice).unwrap_or_default();
    let code = |object: &Object| u16::try_from(object.as_i64().ok()?).ok();
    while let [first, second, rest @ ..] = entries {
        let Some(first) = code(first) else { break };
        let second = document.dereference(second).map(|(_, object)| object);
        match (second, rest) {
            (Ok(Object::Array(list)), _) => {
                let list = list.iter().map(|width| resolved(width, document));
                let listed = (first..=u16::MAX).zip(list);
                widths.extend(listed.filter_map(|(code, width)| Some((code, width?))));
                entries = rest;
            }
            (Ok(last), [width, rest @ ..]) => {
                if let (Some(last), Some(width)) = (code(last), resolved(width, document)) {
                    widths.extend((first..=last).map(|code| (code, width)));
                }
                entries = rest;
            }
            _ => break,
        }
    }
    (widths, Some(default))
}

fn resolved(object: &Object, document: &Document) -> Option<f64> {
    number_of(document.dereference(object).ok()?.1)
}

/// Readers know the widths of the fourteen standard fonts by heart, so that files need not give
/// them; near enough to tell where words end.
fn usual_width(text: &str) -> f64 {
    match text.chars().next() {
        Some(
            'i' | 'j' | 'l' | 'f' | 't' | 'I' | ' ' | '.' | ',' | ':' | ';' | '\'' | '|' | '!',
        ) => 275.0,
        Some('m' | 'w' | 'M' | 'W' | '@' | '%') => 850.0,
        Some('r' | '-' | '(' | ')' | '[' | ']') => 335.0,
        Some(letter) if letter.is_uppercase() => 690.0,
        Some(_) => 550.0,
        None => 0.0,
    }
}
