//! How an indexed document is addressed.

use std::fmt;

use sha2::{Digest, Sha256};

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

    /// What stands for a brand; `-` for documents of none.
    pub fn brand_token(brand: Option<&str>) -> String {
        brand.map_or_else(|| "-".to_owned(), token)
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

    #[test]
    fn brands_have_documents_of_their_own() {
        let keys = [None, Some("a"), Some("b")].map(|brand| DocumentKey::new(brand, "manual"));
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    }
}
