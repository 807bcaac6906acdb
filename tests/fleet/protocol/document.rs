//! PROTOCOL.md names everything that the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flotilla_common::broker::TASK_HEADERS;
use flotilla_common::model::{Call, PROTOCOL};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> String {
    fs::read_to_string(root().join("PROTOCOL.md")).unwrap()
}

/// All sources below a directory, without their tests.
fn sources(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name != "tests" && name != "target" => sources(&path, found),
            false if name.ends_with(".rs") && !name.ends_with("tests.rs") => {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path, code));
            }
            _ => {}
        }
    }
}

/// The names in quotes that follow this beginning.
fn names_after<'a>(code: &'a str, beginning: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(beginning).skip(1).filter_map(|rest| {
        let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then_some(name)
    })
}

#[test]
fn every_failure_code_is_named() {
    let mut found = Vec::new();
    sources(&root().join("common"), &mut found);
    sources(&root().join("services"), &mut found);
    let mut codes = BTreeSet::new();
    for (path, code) in &found {
        for beginning in [
            "Failure::new(",
            "FailureCode::from(",
            "theirs(",
            "Self(Cow::Borrowed(",
        ] {
            codes.extend(names_after(code, beginning).map(str::to_owned));
        }
        // A table of them.
        if path.ends_with("scraping/src/failure.rs") {
            codes.extend(names_after(code, "=> (").map(str::to_owned));
        }
    }
    assert!(codes.len() > 50, "{codes:?}");
    let document = document();
    for code in codes {
        assert!(document.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_problem_is_named() {
    let path = root().join("services/gateway/src/problem.rs");
    let code = fs::read_to_string(path).unwrap();
    let document = document();
    let kinds: BTreeSet<_> = code
        .split("\"urn:flotilla:problem:")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(kinds.len() > 20, "{kinds:?}");
    for kind in kinds {
        let whole = format!("`urn:flotilla:problem:{kind}`");
        let short = format!("`…:{kind}`");
        assert!(
            document.contains(&whole) || document.contains(&short),
            "{kind}"
        );
    }
}

#[test]
fn every_call_header_and_the_version_are_named() {
    let document = document();
    assert!(document.contains(&format!("Version **{PROTOCOL}**")));
    for (name, _) in TASK_HEADERS {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
    for call in &Call::ALL {
        let subject = call.subject().replace(".>", ".<category>");
        let (noun, verb) = subject.rsplit_once('.').unwrap();
        let is_named = document.contains(&format!("`{subject}`"))
            // Several calls of one noun stand in one line.
            || document.lines().any(|line| {
                line.contains(&format!("| `{noun}.")) && line.contains(&format!("`.{verb}`"))
            });
        assert!(is_named, "{subject}");
    }
}
