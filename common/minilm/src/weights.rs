//! The pinned files, and the tensors in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Of sentence-transformers/all-MiniLM-L6-v2: names and SHA-256. `scripts/model.sh` has the same.
pub(crate) const WEIGHTS: (&str, &str) = (
    "model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
);
pub(crate) const TOKENIZER: (&str, &str) = (
    "tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
);

/// The model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {file}; './just model' fetches the model and says where it is")]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{file} is not the file of all-MiniLM-L6-v2 that this version works with (its SHA-256 is {found}, not {pinned}): remove it and run './just model', or leave the model directory out to find documents by their words"
    )]
    Other {
        file: PathBuf,
        found: String,
        pinned: &'static str,
    },
    #[error("{file} has no {what}")]
    Incomplete { file: PathBuf, what: String },
    #[error("cannot start a thread that embeds")]
    Thread(#[source] std::io::Error),
}

pub(crate) fn read(
    directory: &Path,
    (name, pinned): (&'static str, &'static str),
) -> Result<Vec<u8>, LoadError> {
    let file = directory.join(name);
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(source) => return Err(LoadError::Unreadable { file, source }),
    };
    let found = format!("{:x}", Sha256::digest(&bytes));
    if found == pinned {
        Ok(bytes)
    } else {
        Err(LoadError::Other {
            file,
            found,
            pinned,
        })
    }
}

/// A file in the safetensors format: a length, a JSON header, and the values.
pub(crate) struct Tensors<'a> {
    header: HashMap<String, serde_json::Value>,
    values: &'a [u8],
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    data_offsets: (usize, usize),
}

impl<'a> Tensors<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (header, values) = rest.split_at_checked(length)?;
        Some(Self {
            header: serde_json::from_slice(header).ok()?,
            values,
        })
    }

    /// All values, row by row.
    pub(crate) fn floats(&self, name: &str, count: usize) -> Result<Vec<f32>, LoadError> {
        self.find(name)
            .filter(|floats| floats.len() == count)
            .ok_or_else(|| LoadError::Incomplete {
                file: WEIGHTS.0.into(),
                what: format!("{count} floats named {name}"),
            })
    }

    fn find(&self, name: &str) -> Option<Vec<f32>> {
        let entry = Entry::deserialize(self.header.get(name)?).ok()?;
        let bytes = self
            .values
            .get(entry.data_offsets.0..entry.data_offsets.1)?;
        let floats = bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes);
        (entry.dtype == "F32").then(|| floats.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_read_where_their_header_says() {
        let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"far":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        for value in [9.0_f32, 1.5, -2.0] {
            file.extend(value.to_le_bytes());
        }
        let tensors = Tensors::parse(&file).unwrap();
        assert_eq!(tensors.floats("a", 2).unwrap(), [1.5, -2.0]);
        for (name, count) in [("a", 3), ("far", 2), ("b", 2)] {
            assert!(tensors.floats(name, count).is_err(), "{name}");
        }
        assert!(Tensors::parse(&file[..20]).is_none());
    }

    #[test]
    fn another_file_is_refused_and_says_what_to_do() {
        let directory = std::env::temp_dir().join(format!("minilm-{}", std::process::id()));
        let missing = read(&directory, WEIGHTS).unwrap_err().to_string();
        assert!(missing.contains("./just model"), "{missing}");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(WEIGHTS.0), "short").unwrap();
        let other = read(&directory, WEIGHTS).unwrap_err().to_string();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(
            other.contains("remove it and run './just model'"),
            "{other}"
        );
    }
}
