//! How an indexed document is addressed, and what is known of it without reading it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// Names a document within the whole index: its brand and its id, as tokens that fit into a
/// subject whatever characters the two have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    brand: String,
    document: String,
}

/// Bytes of a hash that are kept: collisions are out of reach of chance.
const TOKEN_BYTES: usize = 12;

impl DocumentKey {
    pub fn new(brand: Option<&str>, id: &str) -> Self {
        Self {
            brand: Self::brand_token(brand),
            document: token(id),
        }
    }

    /// Reads back what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (brand, document) = text.split_once('.')?;
        let is_token = |token: &str| {
            !token.is_empty()
                && token
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (is_token(brand) && is_token(document)).then(|| Self {
            brand: brand.to_owned(),
            document: document.to_owned(),
        })
    }

    /// The brand's part of the key.
    pub fn brand(&self) -> &str {
        &self.brand
    }

    /// What stands for a brand; `-` for documents of none.
    pub fn brand_token(brand: Option<&str>) -> String {
        brand.map_or_else(|| "-".to_owned(), token)
    }
}

/// A stored version of a document, in its message's header: a listing reads no bodies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentSummary {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub content_hash: String,
    /// What made its vectors; `None` where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
    pub chunks: usize,
    /// When the content was true.
    pub as_of: Timestamp,
}

impl DocumentSummary {
    /// Of each text: a header has little room, and whoever needs the whole reads the document.
    const TEXT_BYTES_MAX: usize = 2_048;

    /// The same with texts that fit into a header.
    pub fn shortened(mut self) -> Self {
        let texts = [&mut self.id, &mut self.title];
        let more = self.brand.iter_mut().chain(self.url.iter_mut());
        for text in texts.into_iter().chain(more) {
            shorten(text, Self::TEXT_BYTES_MAX);
        }
        self
    }

    /// Stands for this version of the document of that key, and for no other.
    pub fn fingerprint(&self, key: &DocumentKey) -> u64 {
        let embedder = self.embedder.as_deref().unwrap_or_default();
        let version = format!("{key} {} {} {embedder}", self.content_hash, self.chunks);
        let digest = Sha256::digest(version);
        let (first, _) = digest.split_at(size_of::<u64>());
        first
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

/// Cuts a text to so many bytes, where that splits no character.
fn shorten(text: &mut String, bytes_max: usize) {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// What some documents add up to: equal where the documents are the same, in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holding {
    pub documents: u64,
    pub chunks: u64,
    /// Of the documents' fingerprints, combined by exclusive or.
    pub digest: u64,
}

impl Holding {
    pub fn add(&mut self, chunks: usize, fingerprint: u64) {
        self.documents += 1;
        self.chunks += u64::try_from(chunks).unwrap_or(u64::MAX);
        self.digest ^= fingerprint;
    }
}

fn token(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(TOKEN_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `<brand token>.<document token>`.
impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.brand, self.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        for brand in [None, Some("Acme & Söhne")] {
            let key = DocumentKey::new(brand, "https://example.com/a b");
            assert_eq!(DocumentKey::parse(&key.to_string()), Some(key));
        }
        for text in ["", "a", "a.", ".b", "a.b.c", "a.*", "a b.c"] {
            assert_eq!(DocumentKey::parse(text), None, "{text}");
        }
    }

    fn summary(embedder: Option<&str>) -> DocumentSummary {
        DocumentSummary {
            id: "ä".repeat(2_000),
            brand: Some("acme".to_owned()),
            title: "t".repeat(5_000),
            url: None,
            content_hash: "abc".to_owned(),
            embedder: embedder.map(str::to_owned),
            chunks: 3,
            as_of: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn summaries_fit_into_a_header() {
        let short = summary(None).shortened();
        assert_eq!(short.id, "ä".repeat(1_024));
        assert_eq!(short.title.len(), 2_048);
        let mut odd = "aä".to_owned();
        shorten(&mut odd, 2);
        assert_eq!(odd, "a");
    }

    #[test]
    fn a_holding_is_the_same_in_any_order_and_another_with_another_version() {
        let keys = ["a", "b"].map(|id| DocumentKey::new(None, id));
        let hold = |order: [usize; 2], embedder: Option<&str>| {
            let mut holding = Holding::default();
            for n in order {
                holding.add(3, summary(embedder).fingerprint(&keys[n]));
            }
            holding
        };
        assert_eq!(hold([0, 1], None), hold([1, 0], None));
        assert_ne!(hold([0, 1], None), hold([0, 1], Some("x")));
        assert_ne!(hold([0, 0], None), hold([0, 1], None));
    }

    #[test]
    fn brands_have_documents_of_their_own() {
        let keys = [None, Some("a"), Some("b")].map(|brand| DocumentKey::new(brand, "manual"));
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    }
}
