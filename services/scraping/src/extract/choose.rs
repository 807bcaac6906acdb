//! Finds the content in a cleaned page and converts it. See the module above for why in
//! this order.

use dom_query::{Document, NodeRef, Selection};
use dom_smoothie::Readability;
use url::Url;

use super::deadline::Deadline;
use super::metadata::one_line;
use super::{Error, Method, parse};

/// A declared main part of this length is believed, however much stands around it.
const MAIN_CHARS_MIN: usize = 500;

/// Above these the guess can take far longer than it is worth (its time grows with the
/// square of the text); the whole page is converted.
const GUESSED_NODES_MAX: usize = 50_000;
const GUESSED_CHARS_MAX: usize = 300_000;

pub(super) fn content(
    document: &Document,
    url: &Url,
    deadline: Deadline,
) -> Result<(String, Method), Error> {
    deadline.check()?;
    let Some(body) = document.body() else {
        return Ok((String::new(), Method::WholePage));
    };
    let page_chars = body.normalized_char_count();
    if let Some(main) = declared(document, page_chars, deadline)? {
        return Ok((markdown(&main), Method::MainElement));
    }
    if let Some(content) = guessed(document, &body, page_chars, url, deadline) {
        return Ok((content, Method::Readability));
    }
    deadline.check()?;
    Ok((markdown(&body), Method::WholePage))
}

fn declared<'a>(
    document: &'a Document,
    page_chars: usize,
    deadline: Deadline,
) -> Result<Option<NodeRef<'a>>, Error> {
    let main = longest(&document.select("main, [role='main']"), deadline)?
        .filter(|(chars, _)| *chars >= MAIN_CHARS_MIN || chars * 2 >= page_chars);
    let articles = document.select("article");
    // Several articles are a list, or an article and its comments.
    let article = match articles.length() {
        1 => longest(&articles, deadline)?.filter(|(chars, _)| chars * 2 >= page_chars),
        _ => None,
    };
    let found = main.or(article).filter(|(chars, _)| *chars > 0);
    Ok(found.map(|(_, node)| node))
}

fn longest<'a>(
    selection: &Selection<'a>,
    deadline: Deadline,
) -> Result<Option<(usize, NodeRef<'a>)>, Error> {
    let mut longest = None;
    for node in selection.nodes() {
        deadline.check()?;
        let chars = node.normalized_char_count();
        if longest.is_none_or(|(most, _)| chars >= most) {
            longest = Some((chars, *node));
        }
    }
    Ok(longest)
}

/// `None` where the guess lost more than half of the text, or any code or table: we would
/// rather keep too much of a manual than lose what it is read for.
fn guessed(
    document: &Document,
    body: &NodeRef,
    page_chars: usize,
    url: &Url,
    deadline: Deadline,
) -> Option<String> {
    if document.tree.len() > GUESSED_NODES_MAX || page_chars > GUESSED_CHARS_MAX {
        return None;
    }
    let mut readability =
        Readability::with_document(document.clone(), Some(url.as_str()), None).ok()?;
    let article = readability.parse().ok()?;
    let found = parse::parse(&article.content, deadline).ok()?;
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
