//! What a discovery knows: the pages in the order they were found, breadth first, and what was
//! left out. Pure: results come in, pages to scrape come out. It is kept as a checkpoint, packed
//! (addresses of one site are much alike), so that whichever worker takes the task up next goes
//! on where it was.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use flotilla_common::model::Discover;
use serde::{Deserialize, Serialize};
use url::Url;

use super::site::{self, Site};
use super::sitemap::Sitemap;
use crate::robots;

/// A checkpoint has 64 KiB: the rest is for the family's window and what `left_out` may become.
const PACKED_BYTES_MAX: usize = 48 * 1024;
/// What a page's end adds to it.
const END_BYTES: usize = 24;
const UNPACKED_BYTES_MAX: u64 = 8 * 1024 * 1024;
const URL_BYTES_MAX: usize = 1_024;
/// Of each reason.
const SAMPLES_MAX: usize = 5;
const SAMPLE_BYTES_MAX: usize = 200;
/// Sitemaps that one discovery reads.
const SITEMAPS_MAX: usize = 20;
const SITEMAP_URL_BYTES_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crawl {
    pub(super) pages: Vec<Page>,
    /// The results of the pages before this one have been read.
    pub(super) read: usize,
    /// Known once the first page has been fetched, which may lead elsewhere.
    pub(super) site: Option<Site>,
    /// Keys of other addresses of pages that are known.
    aliases: Vec<String>,
    pub(super) sitemaps: Sitemaps,
    pub(super) left_out: BTreeMap<Why, LeftOut>,
    #[serde(skip)]
    known: HashSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) url: String,
    pub(super) depth: u8,
    pub(super) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Open,
    /// With the start of its content's hash.
    Completed(String),
    /// With the failure's code.
    Failed(String),
    /// Cancelled, expired, or its record is gone.
    Lost,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sitemaps {
    /// Whether they have been looked for.
    pub(super) is_begun: bool,
    /// The next one last.
    queue: Vec<String>,
    pub(super) read: Vec<SitemapRead>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SitemapRead {
    pub(super) url: String,
    /// How many addresses it has.
    pub(super) addresses: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    OtherSite,
    /// By `include` and `exclude`.
    Excluded,
    /// The page asks not to follow the link.
    Nofollow,
    BeyondDepth,
    BeyondPagesMax,
    /// By its name a picture, an archive, a program.
    NoPage,
    TooLong,
    /// More addresses than a checkpoint holds.
    BeyondMemory,
}

/// How many links that was, each as often as it was met, and some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    pub(super) links: usize,
    pub(super) for_example: Vec<String>,
}

/// What the result of a page's task says to us; everything else in it is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Seen {
    pub(super) final_url: String,
    pub(super) content_hash: String,
    #[serde(default)]
    pub(super) canonical_url: Option<String>,
    #[serde(default)]
    pub(super) nofollow: bool,
    #[serde(default)]
    pub(super) links: Vec<SeenLink>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct SeenLink {
    pub(super) url: String,
    #[serde(default)]
    pub(super) nofollow: bool,
}

impl Sitemaps {
    pub(super) fn begin(&mut self, named: Vec<String>) {
        self.is_begun = true;
        self.add(named);
    }

    /// They come before those that wait: a sitemap's parts belong together.
    pub(super) fn add(&mut self, found: Vec<String>) {
        let room = SITEMAPS_MAX.saturating_sub(self.queue.len() + self.read.len());
        let fits = |address: &String| address.len() <= SITEMAP_URL_BYTES_MAX;
        let found: Vec<_> = found.into_iter().filter(fits).take(room).collect();
        self.queue.extend(found.into_iter().rev());
    }

    pub(super) fn next(&mut self) -> Option<String> {
        while let Some(address) = self.queue.pop() {
            if self.read.iter().all(|read| read.url != address) {
                return Some(address);
            }
        }
        None
    }

    /// It has to be asked for later.
    pub(super) fn put_back(&mut self, address: String) {
        self.queue.push(address);
    }
}

impl Crawl {
    pub(super) fn new(start: &Url) -> Self {
        let mut crawl = Self {
            pages: Vec::new(),
            read: 0,
            site: None,
            aliases: Vec::new(),
            sitemaps: Sitemaps::default(),
            left_out: BTreeMap::new(),
            known: HashSet::new(),
        };
        let url = site::canonical(start.clone());
        crawl.known.insert(site::key(&url));
        // As the caller wrote it: only the addresses that we find are ours to change.
        crawl.push(start, 0);
        crawl
    }

    fn push(&mut self, url: &Url, depth: u8) {
        self.pages.push(Page {
            url: url.to_string(),
            depth,
            end: End::Open,
        });
    }

    /// What became of the next page, and where it leads.
    pub(super) fn absorb(&mut self, end: End, seen: Option<&Seen>, options: &Discover) {
        let at = self.read;
        self.read += 1;
        let Some(page) = self.pages.get_mut(at) else {
            return;
        };
        page.end = end;
        let depth = page.depth;
        let Some(seen) = seen else { return };
        let Ok(url) = Url::parse(&seen.final_url) else {
            return;
        };
        let site = self.site.get_or_insert_with(|| Site::of(&url)).clone();
        if !site.has(&url) {
            return;
        }
        self.add_alias(&url);
        let canonical = seen.canonical_url.as_deref().map(Url::parse);
        if let Some(Ok(canonical)) = canonical {
            match site::is_same_page(&canonical, &url) {
                true => self.add_alias(&canonical),
                // What it calls its better self is another page until it proves the same.
                false if site.has(&canonical) => self.offer(&canonical, depth, options),
                false => {}
            }
        }
        for link in &seen.links {
            let Ok(url) = Url::parse(&link.url) else {
                continue;
            };
            match seen.nofollow || link.nofollow {
                true => self.leave_out(Why::Nofollow, &link.url),
                false => self.offer(&url, depth.saturating_add(1), options),
            }
        }
    }

    fn add_alias(&mut self, url: &Url) {
        let key = site::key(&site::canonical(url.clone()));
        if key.len() <= URL_BYTES_MAX && self.known.insert(key.clone()) {
            self.aliases.push(key);
        }
    }

    /// A page that was found: it is added if it is a new one, and wanted.
    pub(super) fn offer(&mut self, url: &Url, depth: u8, options: &Discover) {
        if !self.site.as_ref().is_some_and(|site| site.has(url)) {
            return self.leave_out(Why::OtherSite, url.as_str());
        }
        let url = site::canonical(url.clone());
        let key = site::key(&url);
        if self.known.contains(&key) {
            return;
        }
        let why = if url.as_str().len() > URL_BYTES_MAX {
            Why::TooLong
        } else if site::is_no_page(&url) {
            Why::NoPage
        } else if !is_wanted(&url, options) {
            Why::Excluded
        } else if depth > options.depth {
            Why::BeyondDepth
        } else if self.pages.len() >= options.pages_max {
            Why::BeyondPagesMax
        } else {
            self.known.insert(key);
            return self.push(&url, depth);
        };
        self.leave_out(why, url.as_str());
    }

    /// The pages and sitemaps that a sitemap names, and how many those are.
    pub(super) fn take_in(&mut self, found: Sitemap, start: &Url, options: &Discover) -> usize {
        let addresses = found.pages.len() + found.sitemaps.len();
        let pages = found.pages.iter().filter_map(|page| start.join(page).ok());
        let mut pages: Vec<_> = pages.collect();
        // Those beside the start first, where not all of them are wanted.
        pages.sort_by_key(|page| !site::is_below(page, start));
        for page in pages {
            self.offer(&page, 0, options);
        }
        self.sitemaps.add(found.sitemaps);
        addresses
    }

    pub(super) fn leave_out(&mut self, why: Why, url: &str) {
        let left_out = self.left_out.entry(why).or_default();
        left_out.links += 1;
        let is_new = !left_out.for_example.iter().any(|known| known == url);
        if is_new && left_out.for_example.len() < SAMPLES_MAX && url.len() <= SAMPLE_BYTES_MAX {
            left_out.for_example.push(url.to_owned());
        }
    }

    pub(super) fn pack(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        // Writing into memory does not fail.
        let packed = encoder.write_all(&json).and_then(|()| encoder.finish());
        BASE64_STANDARD.encode(packed.unwrap_or_default())
    }

    pub(super) fn unpack(packed: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(packed).ok()?;
        let mut json = Vec::new();
        DeflateDecoder::new(&*bytes)
            .take(UNPACKED_BYTES_MAX)
            .read_to_end(&mut json)
            .ok()?;
        let mut crawl: Self = serde_json::from_slice(&json).ok()?;
        let urls = crawl.pages.iter();
        let keys = urls.filter_map(|page| Url::parse(&page.url).ok());
        crawl.known = keys.map(|url| site::key(&site::canonical(url))).collect();
        crawl.known.extend(crawl.aliases.iter().cloned());
        Some(crawl)
    }

    /// Forgets the last of the pages that have not been submitted, where they would not all
    /// fit into a checkpoint, and then other names of pages: those save a fetch, no more.
    pub(super) fn fit(&mut self, submitted: usize) {
        while self.pages.len() > submitted && !self.fits() {
            let kept = (self.pages.len() - self.pages.len().div_ceil(10)).max(submitted);
            for page in self.pages.split_off(kept) {
                self.leave_out(Why::BeyondMemory, &page.url);
            }
        }
        if !self.fits() {
            self.aliases.clear();
        }
    }

    fn fits(&self) -> bool {
        let open = self.pages.len().saturating_sub(self.read);
        self.pack().len() + open * END_BYTES <= PACKED_BYTES_MAX
    }
}

fn is_wanted(url: &Url, options: &Discover) -> bool {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let is_like = |pattern: &String| robots::matches(pattern, path);
    (options.include.is_empty() || options.include.iter().any(is_like))
        && !options.exclude.iter().any(is_like)
}

#[cfg(test)]
#[path = "crawl_tests.rs"]
mod tests;
