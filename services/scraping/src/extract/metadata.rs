//! What a page says of itself: title, language, base address.

use dom_query::Document;
use url::Url;

const TITLE_CHARS_MAX: usize = 500;

/// Never empty: the address stands in where a page has no title.
pub(super) fn title(document: &Document, url: &Url) -> String {
    let social = document
        .select_single("meta[property='og:title']")
        .attr("content")
        .unwrap_or_default();
    let title = document.select_single("head title").text();
    let heading = document.select_single("h1").text();
    let found = [social, title, heading]
        .into_iter()
        .map(|text| one_line(&text))
        .find(|text| !text.is_empty());
    or_name(&found.unwrap_or_default(), url)
}

/// `title`, or the last part of the address where that is empty.
pub(super) fn or_name(title: &str, url: &Url) -> String {
    let mut segments = url.path().rsplit('/').filter(|segment| !segment.is_empty());
    let mut name = || segments.next().or(url.host_str()).unwrap_or_default();
    let title = if title.is_empty() { name() } else { title };
    title.chars().take(TITLE_CHARS_MAX).collect()
}

pub(super) fn language(document: &Document) -> Option<String> {
    let language = document.select_single("html").attr("lang")?;
    let language = language.trim();
    let is_tag = !language.is_empty()
        && language.len() <= 35
        && language
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_tag.then(|| language.to_owned())
}

/// What the page calls its own address, whatever it was asked by.
pub(super) fn canonical(document: &Document, base: &Url) -> Option<String> {
    let link = document.select_single("head link[rel='canonical' i]");
    let mut url = base.join(link.attr("href")?.trim()).ok()?;
    url.set_fragment(None);
    let fits = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= 1_024;
    fits.then(|| url.into())
}

pub(super) fn nofollow(document: &Document) -> bool {
    let says = |content: &str| {
        let mut words = content.split([',', ' ']).map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case("nofollow") || word.eq_ignore_ascii_case("none"))
    };
    let metas = document.select("meta[name='robots' i]");
    metas
        .nodes()
        .iter()
        .any(|meta| meta.attr("content").is_some_and(|content| says(&content)))
}

/// What relative addresses on the page are relative to.
pub(super) fn base(document: &Document, url: &Url) -> Url {
    document
        .select_single("base[href]")
        .attr("href")
        .and_then(|href| url.join(href.trim()).ok())
        .filter(|base| matches!(base.scheme(), "http" | "https"))
        .unwrap_or_else(|| url.clone())
}

/// Runs of white space become one space.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TITLE_CHARS_MAX));
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}
