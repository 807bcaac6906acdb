//! How far a site is to be followed from a page: an option of a scraping task, checked by the
//! gateway and again by the worker.

use serde::Deserialize;

/// `{}` is all of the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Discover {
    /// How many links away from the start, or from a page of the sitemap.
    pub depth: u8,
    pub pages_max: usize,
    /// Only pages whose path begins like one of these; all where there are none. As in
    /// robots.txt `*` stands for anything, and a final `$` for the end.
    pub include: Vec<String>,
    /// None of these.
    pub exclude: Vec<String>,
    /// Whether the site's sitemaps are read.
    pub sitemap: bool,
}

impl Discover {
    pub const DEPTH_MAX: u8 = 10;
    pub const PAGES_MAX: usize = 1_000;
    pub const PATTERNS_MAX: usize = 50;
    pub const PATTERN_BYTES_MAX: usize = 500;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDiscover {
    #[error("discover.depth: use 0 to {}", Discover::DEPTH_MAX)]
    Depth,
    #[error("discover.pages_max: use 1 to {}", Discover::PAGES_MAX)]
    Pages,
    #[error(
        "discover.{field}: give at most {} patterns of 1 to {} bytes, each beginning with / or *, such as /docs/",
        Discover::PATTERNS_MAX,
        Discover::PATTERN_BYTES_MAX
    )]
    Patterns { field: &'static str },
}

/// A name that is misspelt would crawl a whole site: unknown ones are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    depth: u64,
    pages_max: u64,
    include: Vec<String>,
    exclude: Vec<String>,
    sitemap: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            depth: 2,
            pages_max: 100,
            include: Vec::new(),
            exclude: Vec::new(),
            sitemap: true,
        }
    }
}

impl TryFrom<Fields> for Discover {
    type Error = InvalidDiscover;

    fn try_from(fields: Fields) -> Result<Self, InvalidDiscover> {
        let depth = u8::try_from(fields.depth).ok();
        let depth = depth.filter(|depth| *depth <= Self::DEPTH_MAX);
        let pages = usize::try_from(fields.pages_max).ok();
        let pages = pages.filter(|pages| (1..=Self::PAGES_MAX).contains(pages));
        check("include", &fields.include)?;
        check("exclude", &fields.exclude)?;
        Ok(Self {
            depth: depth.ok_or(InvalidDiscover::Depth)?,
            pages_max: pages.ok_or(InvalidDiscover::Pages)?,
            include: fields.include,
            exclude: fields.exclude,
            sitemap: fields.sitemap,
        })
    }
}

fn check(field: &'static str, patterns: &[String]) -> Result<(), InvalidDiscover> {
    let is_one = |pattern: &String| {
        pattern.starts_with(['/', '*']) && pattern.len() <= Discover::PATTERN_BYTES_MAX
    };
    let are_right = patterns.len() <= Discover::PATTERNS_MAX && patterns.iter().all(is_one);
    are_right
        .then_some(())
        .ok_or(InvalidDiscover::Patterns { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let parse = |json: &str| {
            let parsed: Result<Discover, _> = serde_json::from_str(json);
            parsed.map_err(|error| error.to_string())
        };
        let defaults = parse("{}").unwrap();
        assert_eq!((defaults.depth, defaults.pages_max), (2, 100));
        assert!(defaults.sitemap);
        assert_eq!(
            parse(r#"{"depth":0,"include":["/docs/","*.html$"]}"#)
                .unwrap()
                .depth,
            0
        );
        for (json, expected) in [
            (r#"{"depth":11}"#, "discover.depth"),
            (r#"{"pages_max":0}"#, "discover.pages_max"),
            (r#"{"pages_max":1001}"#, "1 to 1000"),
            (r#"{"include":["docs"]}"#, "discover.include"),
            (r#"{"exclude":[""]}"#, "discover.exclude"),
            (r#"{"page_max":5}"#, "unknown field `page_max`"),
            (r#"{"depth":-1}"#, "invalid value"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
