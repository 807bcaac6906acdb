//! How a store of vectors knows a chunk.

use std::fmt;
use std::str::FromStr;

use flotilla_common::model::DocumentKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A hash of the chunk's document, its version and embedder, and its place in it: storing the same
/// chunk twice is storing it once, and no two versions share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId([u8; 16]);

/// What the ids of a version's chunks have in common.
#[derive(Debug, Clone)]
pub struct Version(Sha256);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a chunk: 32 hexadecimal digits")]
pub struct NotAChunkId;

impl ChunkId {
    pub fn version(key: &DocumentKey, content_hash: &str, embedder: Option<&str>) -> Version {
        let mut hash = Sha256::new();
        for part in [&key.to_string(), content_hash, embedder.unwrap_or_default()] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        Version(hash)
    }
}

impl Version {
    pub fn chunk(&self, ordinal: usize) -> ChunkId {
        let mut hash = self.0.clone();
        hash.update(u64::try_from(ordinal).unwrap_or(u64::MAX).to_le_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        ChunkId(id)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for ChunkId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads back what [`fmt::Display`] writes.
impl FromStr for ChunkId {
    type Err = NotAChunkId;

    fn from_str(text: &str) -> Result<Self, NotAChunkId> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten();
        number
            .map(|number| Self(number.to_be_bytes()))
            .ok_or(NotAChunkId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_in_all_that_makes_them_and_are_read_back() {
        let (a, b) = (
            DocumentKey::new(None, "a"),
            DocumentKey::new(Some("x"), "a"),
        );
        let mut ids = Vec::new();
        for key in [a, b] {
            for (hash, embedder) in [("h", None), ("i", None), ("h", Some("e")), ("i", Some("e"))] {
                let version = ChunkId::version(&key, hash, embedder);
                ids.extend((0..3).map(|ordinal| version.chunk(ordinal)));
            }
        }
        for id in &ids {
            assert_eq!(id.to_string().parse(), Ok(*id));
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for text in ["", "+0000000000000000000000000000001", "0123", "é"] {
            assert_eq!(text.parse::<ChunkId>(), Err(NotAChunkId), "{text}");
        }
    }
}
