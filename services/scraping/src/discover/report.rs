//! What a discovery answers with.

use std::collections::{BTreeMap, HashMap};

use flotilla_common::model::TaskId;
use serde::Serialize;

use super::crawl::{Crawl, End, LeftOut, SitemapRead, Why};
use crate::payload::Payload;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    /// Host and port.
    site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    counts: Counts,
    /// In the order they were found. The task of each has its content.
    pages: Vec<Page>,
    sitemaps: Vec<SitemapRead>,
    /// What was not followed, and why.
    left_out: BTreeMap<Why, LeftOut>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    pages: usize,
    completed: usize,
    /// Completed, with the content of another page.
    duplicates: usize,
    failed: usize,
    /// Cancelled, expired, without a record, or not finished within a day.
    lost: usize,
}

#[derive(Debug, Serialize)]
struct Page {
    url: String,
    task_id: TaskId,
    /// Links away from the start, or from a page of the sitemap.
    depth: u8,
    status: &'static str,
    /// The first page that has the same content.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
    /// The failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Report {
    pub(super) fn new(payload: &Payload, crawl: Crawl, id: impl Fn(&str) -> TaskId) -> Self {
        let mut counts = Counts::default();
        let mut first: HashMap<String, String> = HashMap::new();
        let pages = crawl.pages.into_iter().map(|page| {
            counts.pages += 1;
            let (mut duplicate_of, mut error) = (None, None);
            let status = match page.end {
                End::Completed(hash) => {
                    counts.completed += 1;
                    duplicate_of = first.get(&hash).cloned();
                    counts.duplicates += usize::from(duplicate_of.is_some());
                    first.entry(hash).or_insert_with(|| page.url.clone());
                    "completed"
                }
                End::Failed(code) => {
                    counts.failed += 1;
                    error = Some(code);
                    "failed"
                }
                End::Lost | End::Open => {
                    counts.lost += 1;
                    "lost"
                }
            };
            Page {
                task_id: id(&page.url),
                url: page.url,
                depth: page.depth,
                status,
                duplicate_of,
                error,
            }
        });
        Self {
            pages: pages.collect(),
            url: payload.url.asked().to_owned(),
            site: crawl.site.map(|site| site.as_str().to_owned()),
            brand: payload.brand.clone(),
            counts,
            sitemaps: crawl.sitemaps.read,
            left_out: crawl.left_out,
        }
    }
}
