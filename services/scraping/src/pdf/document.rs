//! Opens the file, and turns its pages, metadata and links into one answer.

use std::collections::HashSet;

use lopdf::{Document, Error, LoadOptions, Object, ObjectId, decode_text_string};

use super::page::Painter;
use super::protocol::{Answer, Fault, Limits, Text};
use super::{lines, markdown};

/// A title in the metadata is often a file's name, or a program's idea of one.
const NO_TITLES: [&str; 4] = ["untitled", "microsoft word", ".doc", ".indd"];
const TITLE_CHARS_MAX: usize = 500;

pub(super) fn read(file: &[u8], limits: &Limits) -> Answer {
    let document = open(file, limits)?;
    let pages: Vec<_> = document.page_iter().take(limits.pages_max + 1).collect();
    if pages.len() > limits.pages_max {
        let pages = document.page_iter().count();
        let pages_max = limits.pages_max;
        return Err(Fault::TooManyPages { pages, pages_max });
    }
    if pages.is_empty() {
        return Err(Fault::Broken("it has no pages".to_owned()));
    }
    let mut painter = Painter::new(&document, limits.inflated_bytes_max);
    let mut chars_left = limits.content_bytes_max;
    let mut texts = Vec::with_capacity(pages.len());
    for &id in &pages {
        let pieces = match painter.page(id, turned(&document, id)) {
            Ok(pieces) => pieces,
            Err(Error::Decompress(error)) => return Err(Fault::TooLarge(error.to_string())),
            // One page that cannot be read does not lose the others.
            Err(_) => Vec::new(),
        };
        let chars: usize = pieces.iter().map(|piece| piece.text.len()).sum();
        texts.push(lines::of_page(pieces));
        match chars_left.checked_sub(chars) {
            Some(left) => chars_left = left,
            None => break,
        }
    }
    let (content, heading) = markdown::write(texts);
    if !content.chars().any(char::is_alphanumeric) {
        let why = match painter.has_unreadable {
            true => "its fonts do not say which letters their shapes are",
            false => "it is made of images, most likely scanned",
        };
        return Err(Fault::NoText {
            pages: pages.len(),
            why: why.to_owned(),
        });
    }
    Ok(Text {
        title: title(&document).or(heading),
        language: language(&document),
        content,
        links: links(&document, &pages, limits.links_max),
        pages: pages.len(),
    })
}

fn open(file: &[u8], limits: &Limits) -> Result<Document, Fault> {
    let options = LoadOptions {
        filter: Some(without_pictures),
        max_decompressed_size: Some(limits.inflated_bytes_max),
        ..LoadOptions::default()
    };
    // A password that is empty is tried, too: such files open for everybody.
    let document = Document::load_mem_with_options(file, options).map_err(|error| match error {
        Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_) => {
            Fault::Encrypted
        }
        Error::Decompress(error) => Fault::TooLarge(error.to_string()),
        error => Fault::Broken(error.to_string()),
    })?;
    match document.is_encrypted() {
        true => Err(Fault::Encrypted),
        false => Ok(document),
    }
}

/// Pictures and embedded files are most of a file's bytes, and none of its text.
fn without_pictures(id: ObjectId, object: &mut Object) -> Option<(ObjectId, Object)> {
    if let Object::Stream(stream) = object {
        let is = |key: &[u8], name: &[u8]| {
            let found = stream.dict.get(key).and_then(Object::as_name);
            found.is_ok_and(|found| found == name)
        };
        if is(b"Subtype", b"Image") || is(b"Type", b"EmbeddedFile") {
            stream.content = Vec::new();
        }
    }
    Some((id, object.to_owned()))
}

/// Inherited from the pages' tree, as other things are.
fn turned(document: &Document, page: ObjectId) -> i64 {
    let (mut id, mut seen) = (page, HashSet::new());
    while seen.insert(id) {
        let Ok(node) = document.get_dictionary(id) else {
            break;
        };
        if let Ok(degrees) = node.get_deref(b"Rotate", document).and_then(Object::as_i64) {
            return degrees;
        }
        match node.get(b"Parent").and_then(Object::as_reference) {
            Ok(parent) => id = parent,
            Err(_) => break,
        }
    }
    0
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get_deref(b"Info", document).ok()?;
    let title = info.as_dict().ok()?.get_deref(b"Title", document).ok()?;
    let title = decode_text_string(title).ok()?;
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = title.to_lowercase();
    let is_title = title.chars().any(char::is_alphanumeric)
        && !NO_TITLES.iter().any(|wrong| lower.contains(wrong));
    is_title.then(|| title.chars().take(TITLE_CHARS_MAX).collect())
}

fn language(document: &Document) -> Option<String> {
    let language = document.catalog().ok()?.get_deref(b"Lang", document).ok()?;
    let language = decode_text_string(language).ok()?;
    let is_tag = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let fits = (1..=35).contains(&language.len()) && language.chars().all(is_tag);
    fits.then_some(language)
}

/// Where its annotations lead, each address once.
fn links(document: &Document, pages: &[ObjectId], links_max: usize) -> Vec<String> {
    let (mut links, mut seen) = (Vec::new(), HashSet::new());
    for &page in pages {
        for annotation in document.get_page_annotations(page).unwrap_or_default() {
            let action = annotation
                .get_deref(b"A", document)
                .and_then(Object::as_dict);
            let address = action
                .and_then(|action| action.get_deref(b"URI", document))
                .and_then(Object::as_str);
            let Ok(address) = address else { continue };
            let address = String::from_utf8_lossy(address).into_owned();
            if seen.insert(address.clone()) {
                links.push(address);
            }
            if links.len() >= links_max {
                return links;
            }
        }
    }
    links
}
