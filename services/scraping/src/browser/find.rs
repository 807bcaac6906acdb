//! Which browser there is: one to launch, one to connect to, or none and why.

use std::path::{Path, PathBuf};

use url::Url;

use super::config::{AUTO, Config};

#[derive(Debug, Clone)]
pub(super) enum Source {
    Launch(PathBuf),
    Remote(Url),
}

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The reason of an `Err` is for people.
pub(super) fn source(config: &Config) -> Result<Source, String> {
    if !config.enabled {
        return Err("browser.enabled is false".to_owned());
    }
    if let Some(url) = &config.url {
        return Ok(Source::Remote(url.clone()));
    }
    let program = if config.path == AUTO {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).find_map(|directory| {
            let mut programs = NAMES.iter().map(|name| directory.join(name));
            programs.find(|program| is_program(program))
        });
        found.ok_or_else(|| {
            format!(
                "none of {} is on the PATH: install one, or set browser.path or browser.url",
                NAMES.join(", ")
            )
        })?
    } else {
        PathBuf::from(&config.path)
    };
    // We do not turn a protection off without being told to.
    if config.sandbox && rustix::process::geteuid().is_root() {
        return Err(
            "Chromium's sandbox does not run as root: run Flotilla as another user, or set \
             browser.sandbox = false where a container or virtual machine takes its place"
                .to_owned(),
        );
    }
    Ok(Source::Launch(program))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let is_executable = |meta: std::fs::Metadata| meta.permissions().mode() & 0o111 != 0;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && is_executable(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_is_not_there_has_a_reason() {
        let off = Config {
            enabled: false,
            ..Config::default()
        };
        assert!(source(&off).unwrap_err().contains("enabled"));
        let remote = Config {
            url: Some(Url::parse("ws://127.0.0.1:1/").unwrap()),
            ..Config::default()
        };
        assert!(matches!(source(&remote), Ok(Source::Remote(_))));
        let named = Config {
            path: "/opt/browser".to_owned(),
            ..Config::default()
        };
        match source(&named) {
            Ok(Source::Launch(program)) => assert_eq!(program, Path::new("/opt/browser")),
            Err(reason) => assert!(reason.contains("root"), "{reason}"),
            Ok(Source::Remote(_)) => panic!("not remote"),
        }
    }
}
