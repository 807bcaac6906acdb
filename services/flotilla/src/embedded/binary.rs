//! Finds a nats-server that is new enough.

use std::path::{Path, PathBuf};

use flotilla_common::broker::SERVER_VERSION_MIN;
use tokio::process::Command;

/// Names the binary, before any search.
const VARIABLE: &str = "FLOTILLA_NATS_SERVER";
/// Where `./just` puts it.
const FETCHED: &str = ".tools/bin/nats-server";

#[derive(Debug, thiserror::Error)]
pub(crate) enum BinaryError {
    #[error(
        "no nats-server found on the PATH, nor at {FETCHED}: run `./just up`, which fetches it, or install one, or name it with {VARIABLE}"
    )]
    Missing,
    #[error("{} cannot be run", path.display())]
    Broken {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is {version}, which is too old: use {}.{} or newer (`./just up` fetches one)", path.display(), SERVER_VERSION_MIN.0, SERVER_VERSION_MIN.1)]
    TooOld { path: PathBuf, version: String },
}

/// The binary named by configuration or environment, else the first that is new enough.
pub(super) async fn find(named: Option<&Path>) -> Result<PathBuf, BinaryError> {
    let named = named
        .map(Path::to_owned)
        .or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    if let Some(path) = named {
        return check(path).await;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("nats-server"));
    let candidates = on_path
        .chain([PathBuf::from(FETCHED)])
        .filter(|path| path.is_file());
    let mut refused = BinaryError::Missing;
    for candidate in candidates {
        match check(candidate).await {
            Ok(path) => return Ok(path),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

async fn check(path: PathBuf) -> Result<PathBuf, BinaryError> {
    let output = Command::new(&path).arg("--version").output().await;
    let output = output.map_err(|source| BinaryError::Broken {
        path: path.clone(),
        source,
    })?;
    let output = String::from_utf8_lossy(&output.stdout);
    let version = output.lines().next().unwrap_or_default().to_owned();
    if is_new_enough(&version) {
        Ok(path)
    } else {
        Err(BinaryError::TooOld { path, version })
    }
}

/// Reads `nats-server: v2.15.1`.
fn is_new_enough(text: &str) -> bool {
    let version = text.rsplit('v').next().unwrap_or_default();
    let mut numbers = version
        .split(['.', '-'])
        .map_while(|number| number.parse::<i64>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor) >= (SERVER_VERSION_MIN.0, SERVER_VERSION_MIN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for text in [
            "nats-server: v2.14.0",
            "nats-server: v2.15.1",
            "nats-server: v2.14.0-RC.1",
            "nats-server: v3.0.0",
        ] {
            assert!(is_new_enough(text), "{text}");
        }
        for text in [
            "nats-server: v2.13.9",
            "nats-server: v1.99.0",
            "",
            "something else",
        ] {
            assert!(!is_new_enough(text), "{text}");
        }
    }
}
