//! PDF files through the whole path: fetched, read by the program in its own process, answered.
//! The files are made here, by `pdf_file`.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use flotilla_common::model::Outcome;
use flotilla_scraping::Config;
use serde_json::Value;

use crate::pdf_file::{File, Font, flate};
use crate::site::{Site, local, scrape};

async fn outcome(config: &Config, file: Vec<u8>) -> Outcome {
    let serve = get(move || async move { ([(CONTENT_TYPE, "application/pdf")], file) });
    let site = Site::start(Router::new().route("/manual.pdf", serve)).await;
    scrape(config, &site.url("/manual.pdf")).await
}

async fn done(file: Vec<u8>) -> Value {
    match outcome(&local(), file).await {
        Outcome::Done(result) => result,
        other => panic!("{other:?}"),
    }
}

async fn rejected(config: &Config, file: Vec<u8>) -> (String, String) {
    match outcome(config, file).await {
        Outcome::Reject(failure) => (failure.code.to_string(), failure.message),
        other => panic!("{other:?}"),
    }
}

const PAGE: &str = "BT /F1 20 Tf 50 750 Td (Pump P-7) Tj ET\n\
    BT /F1 10 Tf 12 TL 50 720 Td (The pump moves 32 litres a minute, and it needs no oil at all in its whole) Tj T* (life, which is long.) Tj ET\n\
    BT /F1 14 Tf 50 670 Td (Data) Tj ET\n\
    BT /F1 10 Tf 50 650 Td (Head) Tj 200 0 Td (32 m) Tj ET\n\
    BT /F1 10 Tf 50 638 Td (Flow) Tj 200 0 Td (3 m) Tj ET\n\
    BT /F2 10 Tf 50 600 Td (pump --start) Tj ET\n";

#[tokio::test]
async fn a_manual_becomes_markdown() {
    let file = File::new()
        .title("Pump P-7: manual")
        .page(
            PAGE.as_bytes(),
            &[("F1", Font::Helvetica), ("F2", Font::Courier)],
        )
        .page(
            b"BT /F1 10 Tf 50 700 Td [(Second) -600 (page) 20 (s too.)] TJ ET",
            &[("F1", Font::Helvetica)],
        );
    let result = done(file.write()).await;
    assert_eq!(result["title"], "Pump P-7: manual");
    let expected = "# Pump P-7\n\nThe pump moves 32 litres a minute, and it needs no oil at all in \
        its whole life, which is long.\n\n## Data\n\n| Head | 32 m |\n| - | - |\n| Flow | 3 m |\n\n\
        ```\npump --start\n```\n\n---\n\nSecond pages too.";
    assert_eq!(result["content"], expected);
    assert_eq!(
        (
            &result["extracted_by"],
            &result["pages"],
            &result["content_type"]
        ),
        (
            &Value::from("pdf"),
            &Value::from(2),
            &Value::from("application/pdf")
        )
    );
}

#[tokio::test]
async fn fonts_with_a_table_of_their_own_are_read_by_it() {
    // Glyph 1 is "ü", 2 is "fi" as one shape, 3 is "日".
    let file = File::new().page(
        b"BT /F1 12 Tf 50 700 Td <000100020003> Tj ET",
        &[(
            "F1",
            Font::Composite(&[(1, "\u{fc}"), (2, "\u{fb01}"), (3, "\u{65e5}")]),
        )],
    );
    assert_eq!(done(file.write()).await["content"], "üfi日");
}

#[tokio::test]
async fn object_streams_and_packed_pages_are_read() {
    let file = File::new().packed().page(
        b"BT /F1 12 Tf 50 700 Td (Packed words.) Tj ET",
        &[("F1", Font::Helvetica)],
    );
    assert_eq!(done(file.write_modern()).await["content"], "Packed words.");
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let words: &[u8] = b"BT /F1 12 Tf 50 700 Td (Secret words.) Tj ET";
    let font = [("F1", Font::Helvetica)];
    let encrypted = File::new()
        .page(words, &font)
        .write_encrypted("owner", "user");
    let scanned = File::new().picture_page().write();
    let unreadable = File::new().page(
        b"BT /F1 12 Tf 50 700 Td <00010002> Tj ET",
        &[("F1", Font::Nameless)],
    );
    let broken = b"%PDF-1.7\nnothing of a PDF follows, though it is long enough to be one".to_vec();
    let many = (0..5)
        .fold(File::new(), |file, _| file.page(words, &font))
        .write();
    let bomb = File::new()
        .raw_page(flate(&vec![b' '; 60 * 1024 * 1024]), "FlateDecode")
        .write();
    assert!(bomb.len() < 200_000);
    let few = Config {
        pdf_pages_max: 3,
        ..local()
    };
    let small = Config {
        pdf_bytes_max: 2_000,
        html_bytes_max: 1_024,
        ..local()
    };
    for (config, file, code, words) in [
        (local(), encrypted, "pdf_encrypted", "password"),
        (local(), scanned, "pdf_without_text", "scanned"),
        (local(), unreadable.write(), "pdf_without_text", "fonts"),
        (local(), broken, "pdf_broken", "broken"),
        (local(), bomb, "too_large", "52428800"),
        (few, many, "pdf_too_many_pages", "at most 3"),
        (small, vec![b' '; 4_000], "too_large", "2000"),
    ] {
        let (found, message) = rejected(&config, file).await;
        assert_eq!(found, code, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_file_that_takes_too_long_is_given_up() {
    let endless = flate(&b"q Q ".repeat(12 * 1024 * 1024));
    assert!(endless.len() < 200_000);
    let hasty = Config {
        pdf_timeout: Duration::from_secs(1),
        ..local()
    };
    let file = File::new().raw_page(endless, "FlateDecode").write();
    match outcome(&hasty, file).await {
        Outcome::Retry { failure, .. } => assert_eq!(failure.code.as_str(), "extraction_timeout"),
        other => panic!("{other:?}"),
    }
}

/// A file that anybody may open, and nobody may change, has an owner's password only.
#[tokio::test]
async fn a_file_that_opens_without_a_password_is_read() {
    let file = File::new().page(
        b"BT /F1 12 Tf 50 700 Td (For everybody.) Tj ET",
        &[("F1", Font::Helvetica)],
    );
    let result = done(file.write_encrypted("owner", "")).await;
    assert_eq!(result["content"], "For everybody.");
}

#[tokio::test]
async fn garbage_in_every_place_ends_in_an_answer() {
    let whole = File::new()
        .page(
            PAGE.as_bytes(),
            &[("F1", Font::Helvetica), ("F2", Font::Courier)],
        )
        .write();
    let step = (whole.len() / 24).max(1);
    for at in (8..whole.len()).step_by(step) {
        let cut = whole[..at].to_vec();
        let mut spoilt = whole.clone();
        let end = (at + 40).min(spoilt.len());
        spoilt[at..end].fill(b'\xff');
        for file in [cut, spoilt] {
            let found = outcome(&local(), file).await;
            assert!(
                matches!(found, Outcome::Done(_) | Outcome::Reject(_)),
                "at {at}: {found:?}"
            );
        }
    }
}
