//! Finds the content in a cleaned page and converts it. See the module above for why in
//! this order.

use dom_query::{Document, NodeRef, Selection};
use dom_smoothie::Readability;
use url::Url;

use super::Method;
use super::metadata::one_line;

/// A declared main part of this length is believed, however much stands around it.
const MAIN_CHARS_MIN: usize = 500;

/// Above these the guess can take far longer than it is worth (its time grows with the
/// square of the text); the whole page is converted.
const GUESSED_NODES_MAX: usize = 50_000;
const GUESSED_CHARS_MAX: usize = 300_000;

pub(super) fn content(document: &Document, url: &Url) -> (String, Method) {
    let Some(body) = document.body() else {
        return (String::new(), Method::WholePage);
    };
    let page_chars = body.normalized_char_count();
    if let Some(main) = declared(document, page_chars) {
        return (markdown(&main), Method::MainElement);
    }
    match guessed(document, &body, page_chars, url) {
        Some(content) => (content, Method::Readability),
        None => (markdown(&body), Method::WholePage),
    }
}

fn declared<'a>(document: &'a Document, page_chars: usize) -> Option<NodeRef<'a>> {
    let most = |selection: Selection<'a>| {
        let nodes = selection.nodes().iter().copied();
        nodes
            .map(|node| (node.normalized_char_count(), node))
            .max_by_key(|(chars, _)| *chars)
    };
    let main = most(document.select("main, [role='main']"))
        .filter(|(chars, _)| *chars >= MAIN_CHARS_MIN || chars * 2 >= page_chars);
    let articles = document.select("article");
    // Several articles are a list, or an article and its comments.
    let article = || {
        let only = (articles.length() == 1).then_some(articles);
        most(only?).filter(|(chars, _)| chars * 2 >= page_chars)
    };
    main.or_else(article)
        .filter(|(chars, _)| *chars > 0)
        .map(|(_, node)| node)
}

/// `None` where the guess lost more than half of the text, or any code or table: we would
/// rather keep too much of a manual than lose what it is read for.
fn guessed(document: &Document, body: &NodeRef, page_chars: usize, url: &Url) -> Option<String> {
    if document.tree.len() > GUESSED_NODES_MAX || page_chars > GUESSED_CHARS_MAX {
        return None;
    }
    let mut readability =
        Readability::with_document(document.clone(), Some(url.as_str()), None).ok()?;
    let article = readability.parse().ok()?;
    let found = Document::from(article.content);
    let kept = found.body()?;
    let count = |node: &NodeRef, name: &str| Selection::from(*node).select(name).length();
    let keeps_all = |name| count(&kept, name) >= count(body, name);
    let keeps_text = kept.normalized_char_count() * 2 >= page_chars;
    if !(keeps_text && keeps_all("pre") && keeps_all("table")) {
        return None;
    }
    let content = markdown(&kept);
    Some(match lost_heading(document, body, &kept) {
        Some(heading) => format!("{heading}\n\n{content}"),
        None => content,
    })
}

/// The guess drops a heading that repeats the title; here it is part of the text. It may also
/// have been made one of another level.
fn lost_heading(document: &Document, body: &NodeRef, kept: &NodeRef) -> Option<String> {
    let body = Selection::from(*body);
    let first = body.select("h1");
    let (marks, heading) = match first.length() {
        0 => ("##", one_line(&body.select_single("h2").text())),
        1 => ("#", one_line(&first.text())),
        _ => return None,
    };
    let title = document.select_single("title").text();
    let title: Vec<_> = words(&title).collect();
    let is_title = marks == "#" || words(&heading).all(|word| title.contains(&word));
    let mut shown = Selection::from(*kept).select("h1, h2, h3").iter();
    let is_kept = shown.any(|shown| one_line(&shown.text()) == heading);
    (is_title && !is_kept && !heading.is_empty()).then(|| format!("{marks} {heading}"))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty())
}

fn markdown(node: &NodeRef) -> String {
    tidy(&node.md(None))
}

/// At most one empty line between blocks; code blocks stay as they are.
fn tidy(markdown: &str) -> String {
    let mut tidied = String::with_capacity(markdown.len());
    let (mut empty_before, mut fence) = (true, None);
    for line in markdown.lines() {
        let text = line.trim_start_matches([' ', '>']);
        let ticks = text.len() - text.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            Some(open) if ticks >= open && ticks == text.trim_end().len() => fence = None,
            _ => {}
        }
        let empty = fence.is_none() && line.trim().is_empty();
        if !(empty && empty_before) {
            tidied.push_str(if empty { "" } else { line });
            tidied.push('\n');
        }
        empty_before = empty;
    }
    tidied.truncate(tidied.trim_end().len());
    tidied
}
