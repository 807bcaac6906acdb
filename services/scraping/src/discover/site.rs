//! Which addresses are of one site, and which are of one page.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

/// Say where a reader came from, and change nothing about the page.
const TRACKING: [&str; 12] = [
    "fbclid",
    "gclid",
    "dclid",
    "msclkid",
    "yclid",
    "igshid",
    "mc_cid",
    "mc_eid",
    "_ga",
    "_gl",
    "phpsessid",
    "jsessionid",
];
const TRACKING_PREFIX: &str = "utm_";

/// Names of a directory's own page.
const INDEXES: [&str; 4] = ["index.html", "index.htm", "index.php", "index.md"];

/// Files that no text is in, as far as we could read it.
const NO_PAGES: [&str; 28] = [
    "avi", "bmp", "bz2", "css", "dmg", "doc", "docx", "eot", "exe", "gif", "gz", "ico", "jpeg",
    "jpg", "js", "mov", "mp3", "mp4", "png", "rar", "svg", "tar", "tgz", "webm", "webp", "woff",
    "woff2", "zip",
];

/// A host and port; `www.` and the scheme make no other site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Site(String);

impl Site {
    pub(crate) fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix("www.").unwrap_or(host);
        Self(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }

    pub(crate) fn has(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https") && Self::of(url) == *self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address without what makes no difference.
pub(super) fn canonical(mut url: Url) -> Url {
    url.set_fragment(None);
    let is_tracking = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with(TRACKING_PREFIX) || TRACKING.contains(&&*name)
    };
    let kept = |query: &str| {
        let parts = query.split('&').filter(|part| {
            let name = part.split('=').next().unwrap_or_default();
            !part.is_empty() && !is_tracking(name)
        });
        parts.collect::<Vec<_>>().join("&")
    };
    let query = url.query().map(kept).filter(|query| !query.is_empty());
    url.set_query(query.as_deref());
    url
}

/// What two addresses of one site have in common if they are of one page.
pub(super) fn key(url: &Url) -> String {
    let path = path(url);
    match url.query() {
        None => path.to_owned(),
        Some(query) => {
            let parts: BTreeSet<_> = query.split('&').collect();
            let parts: Vec<_> = parts.into_iter().collect();
            format!("{path}?{}", parts.join("&"))
        }
    }
}

/// Whether the two differ in their query at most: what a page says of its address is believed
/// that far, as many name their site's first page on all of them.
pub(crate) fn is_same_page(one: &Url, other: &Url) -> bool {
    Site::of(one) == Site::of(other) && path(one) == path(other)
}

/// Whether a page is in the directory of another, or below.
pub(super) fn is_below(url: &Url, other: &Url) -> bool {
    let path = other.path();
    let directory = path.rfind('/').map_or(path, |end| &path[..=end]);
    url.path().starts_with(directory)
}

fn path(url: &Url) -> &str {
    let path = url.path();
    let index = INDEXES.iter().find_map(|name| {
        let directory = path.strip_suffix(name)?;
        directory.ends_with('/').then_some(directory)
    });
    let path = index.unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

pub(super) fn is_no_page(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|it| NO_PAGES.contains(&&*it.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn addresses_of_one_page_have_one_key() {
        let same = [
            "https://example.com/a",
            "http://www.example.com/a/",
            "https://example.com/a/index.html#top",
            "https://example.com/a?utm_source=x&gclid=1",
        ];
        for address in same {
            assert_eq!(key(&canonical(url(address))), "/a", "{address}");
        }
        let key = |address| key(&canonical(url(address)));
        assert_eq!(key("https://a/b?y=2&x=1&&y=2"), key("https://a/b?x=1&y=2"));
        assert_ne!(key("https://a/b?x=1"), key("https://a/b"));
        assert_ne!(key("https://a/A"), key("https://a/a"));
        assert_eq!(key("https://a/"), key("https://a"));
    }

    #[test]
    fn a_site_is_a_host_and_a_port() {
        let site = Site::of(&url("https://www.example.com/a"));
        assert!(site.has(&url("http://example.com/b")));
        for other in [
            "https://docs.example.com/",
            "https://example.com:8443/",
            "ftp://example.com/",
        ] {
            assert!(!site.has(&url(other)), "{other}");
        }
        assert!(is_same_page(&url("http://a/b/?p=1"), &url("http://a/b")));
        assert!(!is_same_page(&url("http://a/b"), &url("http://a/")));
    }

    #[test]
    fn a_page_is_below_its_neighbours() {
        let start = url("http://a/docs/start.html");
        assert!(is_below(&url("http://a/docs/b/c"), &start));
        assert!(!is_below(&url("http://a/blog/"), &start));
        assert!(is_below(&url("http://a/blog/"), &url("http://a/")));
    }

    #[test]
    fn pictures_and_archives_are_no_pages() {
        assert!(is_no_page(&url("http://a/b/logo.PNG?x=1")));
        assert!(!is_no_page(&url("http://a/manual.pdf")));
        assert!(!is_no_page(&url("http://a/v1.2/page")));
    }
}
