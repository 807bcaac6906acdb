//! Turns a page into Markdown, its title and its links. CPU work without I/O: the handler
//! runs it on a blocking thread.
//!
//! How the content is found was chosen by measuring it on documentation (111 pages of the
//! Rust book, references and API documents, with 1,562 code blocks). The crate trafilatura,
//! best on news articles, lost the fence of every code block and 12 to 21 % of the words, and
//! took six times as long; dom_smoothie kept the code and lost 0 to 24 % of the words; the
//! part that a page itself declares as its main one lost 0 to 4 %. So the declared part comes
//! first, then dom_smoothie's guess as far as it keeps code and tables, then the whole page
//! without its frame (`choose.rs`). The conversion is dom_query's: it works on the same tree,
//! where htmd would bring a second parser.

mod choose;
mod clean;
mod code;
mod deadline;
mod links;
mod marks;
mod metadata;
mod panels;
mod parse;
mod tables;
mod terms;

use serde::Serialize;
use url::Url;

use self::deadline::{Deadline, TIME_MAX};
pub(crate) use self::links::Link;
use crate::pdf;

/// How the content was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// The page's own `<main>` or only `<article>`.
    MainElement,
    /// By the density of text and links.
    Readability,
    /// The whole page without navigation, header and footer.
    WholePage,
    /// The document was text already.
    PlainText,
    /// From the text that a PDF draws.
    Pdf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extracted {
    pub(crate) title: String,
    pub(crate) language: Option<String>,
    pub(crate) content: String,
    pub(crate) links: Vec<Link>,
    pub(crate) method: Method,
    /// What the page calls its own address.
    pub(crate) canonical_url: Option<String>,
    /// The page asks not to follow any of its links.
    pub(crate) nofollow: bool,
    /// Of a PDF.
    pub(crate) pages: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the page nests its elements more than {depth_max} deep: no page for reading does")]
    Nesting { depth_max: usize },
    #[error("the page has more than {nodes_max} elements and texts")]
    Nodes { nodes_max: usize },
    #[error("converting the page took longer than {} s", TIME_MAX.as_secs())]
    Time,
}

pub(crate) fn html(text: &str, url: &Url, links_max: usize) -> Result<Extracted, Error> {
    let deadline = Deadline::start();
    let document = parse::parse(text, deadline)?;
    let base = metadata::base(&document, url);
    let title = metadata::title(&document, url);
    let language = metadata::language(&document);
    let canonical_url = metadata::canonical(&document, &base);
    let nofollow = metadata::nofollow(&document);
    panels::open(&document, deadline)?;
    marks::write_boxes(&document, deadline)?;
    clean::remove_unseen(&document, deadline)?;
    // Before the frame goes: its navigation is how a manual's other pages are found.
    let links = links::collect(&document, &base, links_max, deadline)?;
    clean::remove_frame(&document, deadline)?;
    marks::remove_links(&document, deadline)?;
    terms::write_signatures(&document, deadline)?;
    terms::prepare(&document, deadline)?;
    clean::limit_levels(&document, deadline)?;
    links::make_absolute(&document, &base, deadline)?;
    code::prepare(&document, deadline)?;
    tables::prepare(&document, deadline)?;
    let (content, method) = choose::content(&document, url, deadline)?;
    Ok(Extracted {
        title,
        language,
        content,
        links,
        method,
        canonical_url,
        nofollow,
        pages: None,
    })
}

/// Markdown and plain text are content as they are.
pub(crate) fn text(text: String, url: &Url) -> Extracted {
    let heading = text
        .lines()
        .take(50)
        .find_map(|line| line.strip_prefix("# "))
        .map(str::trim);
    Extracted {
        title: metadata::or_name(heading.unwrap_or_default(), url),
        language: None,
        links: Vec::new(),
        content: text,
        method: Method::PlainText,
        canonical_url: None,
        nofollow: false,
        pages: None,
    }
}

/// What a PDF's reader has found.
pub(crate) fn pdf(text: pdf::Text, url: &Url) -> Extracted {
    let links = text.links.iter().filter_map(|address| {
        let mut url = url.join(address).ok()?;
        url.set_fragment(None);
        let fits = matches!(url.scheme(), "http" | "https");
        fits.then(|| Link::to(url.into()))
    });
    Extracted {
        title: metadata::or_name(text.title.as_deref().unwrap_or_default(), url),
        language: text.language,
        links: links.collect(),
        content: text.content,
        method: Method::Pdf,
        canonical_url: None,
        nofollow: false,
        pages: Some(text.pages),
    }
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
#[cfg(test)]
#[path = "page_tests.rs"]
mod page_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
