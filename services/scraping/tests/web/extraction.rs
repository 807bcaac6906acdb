//! How well the content of pages is found and written down, against what a careful person would
//! write: saved pages that differ in kind, each with a Markdown to compare with and a list of
//! what must be there. `./just eval extraction` prints the figures. Three of the pages are as
//! Sphinx (furo), Material for MkDocs and rustdoc made them from texts of ours; the others are
//! written by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::extract::Path as Name;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use flotilla_common::model::Outcome;
use flotilla_scraping::ScrapeHandler;
use serde::Deserialize;

use crate::site::{Site, local, payload};

/// What is known to be true of a page's Markdown.
#[derive(Deserialize)]
struct Expected {
    /// F1 of the words must not fall below.
    floor: f64,
    must: Vec<String>,
    must_not: Vec<String>,
    /// Fenced blocks, to the character.
    code: Vec<String>,
    /// Cells of one row, beside each other.
    rows: Vec<String>,
    /// One after the other.
    order: Vec<String>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/quality")
}

fn read(name: &str, extension: &str) -> Vec<u8> {
    let path = directory().join(name).with_extension(extension);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(directory()).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "html"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Without a charset in the header: what the page says of itself has to do.
async fn site() -> Site {
    let page = async |Name(name): Name<String>| {
        (
            [(CONTENT_TYPE, "text/html")],
            Body::from(read(&name, "html")),
        )
            .into_response()
    };
    Site::start(Router::new().route("/{name}", get(page))).await
}

#[derive(Debug, Clone, Copy)]
struct Score {
    precision: f64,
    recall: f64,
}

impl Score {
    fn f1(self) -> f64 {
        match self.precision + self.recall {
            0.0 => 0.0,
            sum => 2.0 * self.precision * self.recall / sum,
        }
    }
}

/// The addresses of links and pictures are no words of the text.
fn words(markdown: &str) -> HashMap<String, usize> {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, address)) = rest.split_once("](") {
        text.push_str(before);
        text.push(' ');
        rest = address.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let mut words = HashMap::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric()) {
        if !word.is_empty() {
            *words.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    words
}

#[allow(clippy::cast_precision_loss, reason = "counts of words")]
fn score(found: &str, gold: &str) -> Score {
    let (found, gold) = (words(found), words(gold));
    let both: usize = gold
        .iter()
        .map(|(word, times)| found.get(word).copied().unwrap_or_default().min(*times))
        .sum();
    let share = |of: &HashMap<String, usize>| match of.values().sum::<usize>() {
        // Nothing to find is found whole.
        0 => f64::from(u8::from(both == 0)),
        all => both as f64 / all as f64,
    };
    Score {
        precision: share(&found),
        recall: share(&gold),
    }
}

/// White space around lines is left to the converter: in a list a block is indented.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

fn has_code(content: &str, block: &str) -> bool {
    let (content, block) = (lines(content), lines(block));
    content.windows(block.len()).any(|window| {
        let indent = window[0].len() - window[0].trim_start().len();
        window
            .iter()
            .zip(&block)
            .all(|(line, expected)| line.get(indent..).unwrap_or_default() == *expected)
    })
}

fn faults(content: &str, expected: &Expected) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: &str, text: &str| {
        if !holds {
            faults.push(format!("{what}: {text}"));
        }
    };
    for text in &expected.must {
        check(content.contains(text), "missing", text);
    }
    for text in &expected.must_not {
        check(!content.contains(text), "too much", text);
    }
    for block in &expected.code {
        check(has_code(content, block), "code differs", block);
    }
    for row in &expected.rows {
        let is_there = content
            .lines()
            .any(|line| line.trim().trim_matches('|').trim() == row.as_str());
        check(is_there, "no such row", row);
    }
    let mut rest = content;
    for text in &expected.order {
        match rest.split_once(text.as_str()) {
            Some((_, after)) => rest = after,
            None => check(false, "out of order", text),
        }
    }
    faults
}

#[tokio::test]
async fn pages_of_many_kinds_keep_their_content() {
    let (site, handler) = (site().await, ScrapeHandler::new(&local()).unwrap());
    let names = names();
    assert!(names.len() >= 12, "{names:?}");
    let mut faults = Vec::new();
    println!(
        "{:<12} {:>9} {:>7} {:>6}  found by",
        "page", "precision", "recall", "F1"
    );
    let mut sum = 0.0;
    for name in &names {
        let Outcome::Done(result) = handler
            .scrape(payload(&site.url(&format!("/{name}"))))
            .await
        else {
            panic!("{name} was not scraped");
        };
        let expected: Expected = serde_json::from_slice(&read(name, "json")).unwrap();
        let gold = String::from_utf8(read(name, "md")).unwrap();
        let content = result["content"].as_str().unwrap();
        let score = score(content, &gold);
        sum += score.f1();
        println!(
            "{name:<12} {:>9.3} {:>7.3} {:>6.3}  {}",
            score.precision,
            score.recall,
            score.f1(),
            result["extracted_by"].as_str().unwrap()
        );
        let mut found = self::faults(content, &expected);
        if score.f1() < expected.floor {
            found.push(format!("F1 {:.3} is below {}", score.f1(), expected.floor));
        }
        if !found.is_empty() {
            faults.push(format!("{name}: {found:#?}\n{content}\n"));
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a few pages")]
    let mean = sum / names.len() as f64;
    println!("{:<12} {:>9} {:>7} {mean:>6.3}", "mean", "", "");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
