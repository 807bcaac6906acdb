//! What a scraping task answers with.

use flotilla_common::model::TaskId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use url::Url;

use crate::condition::Validators;
use crate::discover::is_same_page;
use crate::extract::{Link, Method};
use crate::text;

#[derive(Debug, Serialize)]
pub(crate) struct Scraped {
    /// As the caller wrote it.
    pub(crate) url: String,
    /// Where the redirects ended.
    pub(crate) final_url: String,
    /// The HTTP status.
    pub(crate) status: u16,
    pub(crate) title: String,
    /// Markdown.
    pub(crate) content: String,
    /// Whether `content` was cut at the service's limit.
    pub(crate) truncated: bool,
    pub(crate) links: Vec<Link>,
    pub(crate) content_type: String,
    /// SHA-256 of the whole Markdown, also where `content` was cut: it tells whether a page
    /// has changed.
    pub(crate) content_hash: String,
    pub(crate) extracted_by: Method,
    #[serde(flatten)]
    pub(crate) rendering: Rendering,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) brand: Option<String>,
    /// RFC 3339, UTC.
    pub(crate) scraped_at: String,
    /// What the page calls its own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canonical_url: Option<String>,
    /// The page asks not to follow its links.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) nofollow: bool,
    /// Of a PDF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pages: Option<usize>,
    #[serde(flatten)]
    pub(crate) validators: Validators,
    /// Where the task says what it knows of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<bool>,
    /// The task that indexes the page, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embed_task_id: Option<TaskId>,
}

/// The answer about a page that is what the task says it was.
#[derive(Debug, Serialize)]
pub(crate) struct Unchanged {
    pub(crate) url: String,
    pub(crate) final_url: String,
    /// Of the server: 304 where it was asked and said so itself.
    pub(crate) status: u16,
    /// Always false.
    pub(crate) changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_hash: Option<String>,
    #[serde(flatten)]
    pub(crate) validators: Validators,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) brand: Option<String>,
    pub(crate) scraped_at: String,
}

/// Whether a browser ran the page's scripts, and why or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Rendering {
    rendered: Rendered,
    #[serde(rename = "render_reason", skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Rendered {
    Yes,
    No,
    /// It would have been, had there been a browser.
    Skipped,
}

impl Rendering {
    pub(crate) fn none() -> Self {
        Self {
            rendered: Rendered::No,
            reason: None,
        }
    }

    pub(crate) fn not(reason: String) -> Self {
        Self {
            rendered: Rendered::No,
            reason: Some(reason),
        }
    }

    pub(crate) fn done(reason: &str) -> Self {
        Self {
            rendered: Rendered::Yes,
            reason: Some(reason.to_owned()),
        }
    }

    pub(crate) fn skipped(reason: String) -> Self {
        Self {
            rendered: Rendered::Skipped,
            reason: Some(reason),
        }
    }
}

impl Scraped {
    /// The name under which the page is indexed. What a page calls itself is believed as far as
    /// it differs in the query only: pages that are sorted or tracked otherwise are one.
    pub(crate) fn document_id(&self) -> &str {
        let canonical = self.canonical_url.as_deref().filter(|canonical| {
            match (Url::parse(canonical), Url::parse(&self.final_url)) {
                (Ok(canonical), Ok(url)) => is_same_page(&canonical, &url),
                _ => false,
            }
        });
        canonical.unwrap_or(&self.final_url)
    }
}

pub(crate) fn hash(content: &str) -> String {
    format!("{:x}", Sha256::digest(content))
}

/// Cuts at the end of a line and closes a code block that the cut left open.
pub(crate) fn truncate(content: String, bytes_max: usize) -> (String, bool) {
    if content.len() <= bytes_max {
        return (content, false);
    }
    let fits = text::start(&content, bytes_max);
    let end = fits.rfind('\n').unwrap_or(fits.len());
    let mut kept = fits[..end].trim_end().to_owned();
    if let Some(fence) = open_fence(&kept) {
        let fence = format!("\n{fence}");
        kept.push_str(&fence);
    }
    (kept, true)
}

/// The fence of the code block that is open at the end.
fn open_fence(markdown: &str) -> Option<&str> {
    let mut open: Option<&str> = None;
    for line in markdown.lines() {
        let line = line.trim();
        let ticks = line.len() - line.trim_start_matches('`').len();
        match open {
            None if ticks >= 3 => open = Some(&line[..ticks]),
            Some(fence) if ticks >= fence.len() && ticks == line.len() => open = None,
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_cut_between_lines() {
        let cut = |content: &str, max| truncate(content.to_owned(), max);
        assert_eq!(cut("short", 10), ("short".to_owned(), false));
        assert_eq!(cut("one\ntwo\nthree", 10), ("one\ntwo".to_owned(), true));
        assert_eq!(cut("äöüäöü", 5), ("äö".to_owned(), true));
    }

    #[test]
    fn a_cut_code_block_is_closed() {
        let content = "````rust\n```\nlet a;\nlet b;\n````\n";
        let (kept, _) = truncate(content.to_owned(), 22);
        assert_eq!(kept, "````rust\n```\nlet a;\n````");
    }

    #[test]
    fn the_hash_is_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash(""), empty);
    }
}
