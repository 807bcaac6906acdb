//! The links of a page: where else its reader could go.

use std::collections::HashMap;

use dom_query::{Document, NodeRef};
use serde::Serialize;
use url::Url;

use super::Error;
use super::deadline::Deadline;
use super::metadata::one_line;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    pub(crate) url: String,
    pub(crate) text: String,
    /// The page asks not to follow it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) nofollow: bool,
}

impl Link {
    pub(super) fn to(url: String) -> Self {
        Self {
            url,
            text: String::new(),
            nofollow: false,
        }
    }
}

/// Longer ones are tracking or data, and a result has to fit into one message.
const URL_BYTES_MAX: usize = 1_024;
const TEXT_CHARS_MAX: usize = 160;
/// What writing out its addresses may add to a page: they may be many, and the base long.
const GROWTH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Each address once, in the order of the page, without fragments.
pub(super) fn collect(
    document: &Document,
    base: &Url,
    links_max: usize,
    deadline: Deadline,
) -> Result<Vec<Link>, Error> {
    let mut links: Vec<Link> = Vec::new();
    let mut places = HashMap::new();
    for node in document.select("a[href], area[href]").nodes() {
        deadline.check()?;
        let Some(url) = page_address(node, base) else {
            continue;
        };
        let place = places.get(&url).copied();
        match place {
            // The first link to a page is often its picture, without a text.
            Some(place) => {
                let known: &mut Link = &mut links[place];
                if known.text.is_empty() {
                    known.text = text(node);
                }
                known.nofollow &= is_nofollow(node);
            }
            None if links.len() < links_max => {
                places.insert(url.clone(), links.len());
                let text = text(node);
                let nofollow = is_nofollow(node);
                links.push(Link {
                    url,
                    text,
                    nofollow,
                });
            }
            None => break,
        }
    }
    Ok(links)
}

/// Writes out every address, so that the Markdown can be read away from the page. An address that
/// there is no room for goes, as one does that leads nowhere.
pub(super) fn make_absolute(
    document: &Document,
    base: &Url,
    deadline: Deadline,
) -> Result<(), Error> {
    let mut room = GROWTH_BYTES_MAX;
    for node in document.select("a[href]").nodes() {
        deadline.check()?;
        let schemes = ["http", "https", "mailto"];
        if !write_out(node, "href", base, &schemes, &mut room) {
            node.remove_attr("href");
        }
    }
    for node in document.select("img").nodes() {
        deadline.check()?;
        let described = node.attr("alt").is_some_and(|alt| !alt.trim().is_empty());
        if !(described && write_out(node, "src", base, &["http", "https"], &mut room)) {
            // Says nothing in text, or carries its data with it.
            node.remove_from_parent();
        }
    }
    Ok(())
}

fn write_out(
    node: &NodeRef,
    attribute: &str,
    base: &Url,
    schemes: &[&str],
    room: &mut usize,
) -> bool {
    let Some(written) = node.attr(attribute) else {
        return false;
    };
    let url = base.join(written.trim()).ok();
    let Some(url) = url.filter(|url| schemes.contains(&url.scheme())) else {
        return false;
    };
    let growth = url.as_str().len().saturating_sub(written.len());
    let Some(left) = room.checked_sub(growth) else {
        return false;
    };
    *room = left;
    node.set_attr(attribute, url.as_str());
    true
}

fn is_nofollow(node: &NodeRef) -> bool {
    let rel = node.attr("rel").unwrap_or_default();
    let mut words = rel.split_ascii_whitespace();
    words.any(|word| word.eq_ignore_ascii_case("nofollow"))
}

fn page_address(node: &NodeRef, base: &Url) -> Option<String> {
    let href = node.attr("href")?;
    let href = href.trim();
    if href.starts_with('#') {
        return None;
    }
    let mut url = base.join(href).ok()?;
    url.set_fragment(None);
    let fits = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= URL_BYTES_MAX;
    fits.then(|| url.into())
}

fn text(node: &NodeRef) -> String {
    let inside = one_line(&node.text());
    let text = if inside.is_empty() {
        let label = node.attr("aria-label").or_else(|| node.attr("title"));
        one_line(&label.unwrap_or_default())
    } else {
        inside
    };
    text.chars().take(TEXT_CHARS_MAX).collect()
}
