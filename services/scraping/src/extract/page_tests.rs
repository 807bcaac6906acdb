//! Whole pages against what a careful person would write down.

use super::*;

fn extract(page: &str, url: &str) -> Extracted {
    html(page, &Url::parse(url).unwrap(), 100).unwrap()
}

#[test]
fn a_documentation_page_keeps_code_tables_and_notes() {
    let page = include_str!("../../tests/pages/documentation.html");
    let found = extract(page, "https://docs.example.com/4.2/backups.html");
    let expected = include_str!("../../tests/pages/documentation.md");
    assert_eq!(found.content, expected.trim_end());
    assert_eq!(found.title, "Backups — Northwind Server 4.2 documentation");
    assert_eq!(found.method, Method::MainElement);
    assert_eq!(found.language.as_deref(), Some("en"));
    let urls: Vec<_> = found.links.iter().map(|link| link.url.as_str()).collect();
    let expected = [
        "https://docs.example.com/",
        "https://docs.example.com/4.2/install.html",
        "https://docs.example.com/4.2/configure.html",
        "https://docs.example.com/4.2/backups.html",
        "https://docs.example.com/4.2/upgrade.html",
        "https://docs.example.com/4.2/",
        "https://docs.example.com/4.2/restore.html",
        "https://status.example.net/",
        "https://docs.example.com/legal",
    ];
    assert_eq!(urls, expected);
    assert_eq!(found.links[0].text, "Home");
}

#[test]
fn a_product_page_keeps_its_specification() {
    let page = include_str!("../../tests/pages/product.html");
    let found = extract(page, "https://www.example.com/p?id=50");
    let expected = include_str!("../../tests/pages/product.md");
    assert_eq!(found.content, expected.trim_end());
    assert_eq!(found.title, "Kompressor KX 50");
    assert_eq!(found.language.as_deref(), Some("de-DE"));
    assert!(
        found
            .links
            .iter()
            .all(|link| link.url.starts_with("https://shop.example.com/de/"))
    );
}

#[test]
fn an_article_is_found_without_any_markup_for_it() {
    let page = include_str!("../../tests/pages/article.html");
    let found = extract(page, "https://coast.example.com/lighthouse");
    assert_eq!(found.method, Method::Readability);
    for kept in [
        "hundred and forty years",
        "> Nobody moves",
        "The keeper",
        "in January",
    ] {
        assert!(found.content.contains(kept), "{kept}: {}", found.content);
    }
    for dropped in ["Sport", "Tide tables", "All rights"] {
        assert!(
            !found.content.contains(dropped),
            "{dropped}: {}",
            found.content
        );
    }
}

#[test]
fn a_tiny_page_is_kept_whole() {
    let page = include_str!("../../tests/pages/tiny.html");
    let found = extract(page, "https://status.example.com/api/health");
    assert_eq!(found.content, "Service is **up**.");
    assert_eq!(found.title, "health");
    assert_eq!(found.links, []);
    let empty = extract("", "https://status.example.com/");
    assert_eq!(
        (empty.content.as_str(), empty.title.as_str()),
        ("", "status.example.com")
    );
}
