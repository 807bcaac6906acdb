//! Pages made to hurt.

use std::time::{Duration, Instant};

use dom_query::Document;

use super::*;

fn url() -> Url {
    Url::parse("https://example.com/manual/page.html").unwrap()
}

#[test]
fn deep_nesting_is_refused_at_once() {
    let numbered = |count| {
        (0..count)
            .map(|i| format!("<p><b id=b{i}>x"))
            .collect::<String>()
    };
    let pages = [
        "<div>".repeat(20_000),
        "<span><div></span>".repeat(20_000),
        "<div><table><tr><td></div>".repeat(20_000),
        format!("<svg><style>{}", "<div>".repeat(20_000)),
        numbered(20_000),
    ];
    for page in pages {
        let started = Instant::now();
        let result = html(&page, &url(), 10);
        assert!(
            matches!(result, Err(Error::Nesting { .. })),
            "{}",
            &page[..40]
        );
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{}",
            &page[..40]
        );
    }
    let deep = format!("{}deep", "<div>".repeat(200));
    assert_eq!(html(&deep, &url(), 10).unwrap().content, "deep");
}

#[test]
fn unclosed_tags_are_not_nesting() {
    let list = format!("<ul>{}</ul>", "<li>item".repeat(2_000));
    let rows = format!("<table>{}</table>", "<tr><td>a<td>b".repeat(2_000));
    let paragraphs = "<p>text".repeat(2_000);
    for page in [list, rows, paragraphs] {
        assert!(html(&page, &url(), 10).is_ok());
    }
}

#[test]
fn a_page_that_multiplies_is_refused() {
    let formats: String = (0..100).map(|i| format!("<b id=b{i}>")).collect();
    let page = format!("<p>{formats}{}", "<p>x".repeat(200_000));
    let result = html(&page, &url(), 10);
    assert!(matches!(result, Err(Error::Nodes { .. } | Error::Time)));
}

#[test]
fn deep_quotations_do_not_multiply_the_text() {
    let page = format!(
        "{}{}",
        "<blockquote>".repeat(200),
        "line<br>".repeat(10_000)
    );
    let content = html(&page, &url(), 10).unwrap().content;
    assert!(content.len() < page.len() * 8, "{}", content.len());
}

#[test]
fn a_panel_that_many_buttons_open_is_looked_through_once() {
    let panel = "<i>x</i>".repeat(30_000);
    let buttons = "<button aria-controls=p>Why?</button>".repeat(10_000);
    let page = format!("<main>{buttons}<div id=p hidden>{panel}</div></main>");
    // Several times as long as it takes; a look for each button takes minutes.
    let document = parse::parse(&page, Deadline::start()).unwrap();
    let deadline = Deadline::within(Duration::from_secs(30));
    assert_eq!(panels::open(&document, deadline), Ok(()));
    assert_eq!(document.select("button").length(), 0);
}

type Step = fn(&Document, Deadline) -> Result<(), Error>;

/// Each with pages that lead into its loops.
const STEPS: [(Step, &[&str]); 11] = [
    (
        panels::open,
        &[
            "<button aria-controls=p>b</button><p id=p>",
            "<button class=accordion>b</button>",
            "<div class=faq><button>b</button></div>",
            "<div class=tabbed-set>",
            "<details><summary>s",
            "<p class=callout-title>t",
        ],
    ),
    (marks::write_boxes, &["<input type=checkbox>"]),
    (clean::remove_unseen, &["<button>b</button>"]),
    (clean::remove_frame, &["<nav>n</nav>"]),
    (
        marks::remove_links,
        &["<a href='#a'>a</a>", "<h2><a>a</a></h2>"],
    ),
    (terms::write_signatures, &["<p class=code-header>c"]),
    (terms::prepare, &["<dl><dt>t<dd>d</dl>"]),
    (clean::limit_levels, &["<ul><li>l</ul>"]),
    (
        |page, deadline| links::make_absolute(page, &url(), deadline),
        &["<a href=a>", "<img>"],
    ),
    (code::prepare, &["<pre>a</pre>"]),
    (tables::prepare, &["<table><tr><td>a</table>"]),
];

#[test]
fn every_loop_over_elements_ends_with_the_time() {
    let over = Deadline::over();
    for (step, pages) in STEPS {
        for page in pages {
            assert_eq!(
                step(&Document::from(*page), over),
                Err(Error::Time),
                "{page}"
            );
        }
        let none = Document::from("<p>nothing of the kind</p>");
        assert_eq!(step(&none, over), Ok(()), "{pages:?}");
    }
    let page = Document::from("<main><a href=a>a</a></main>");
    assert_eq!(links::collect(&page, &url(), 9, over), Err(Error::Time));
    assert_eq!(choose::content(&page, &url(), over), Err(Error::Time));
}

#[test]
fn classes_are_as_long_as_names_are() {
    let long = "x ".repeat(50_000);
    let page =
        format!("<html class='{long}'><p class='{long}'><b class=note>b</b><html class='{long}'>");
    let document = parse::parse(&page, Deadline::start()).unwrap();
    assert_eq!(document.select("[class]").length(), 1);
}

#[test]
fn addresses_written_out_stay_within_bounds() {
    let base = format!("https://example.com/{}/", "x".repeat(200_000));
    let links = "<a href=a>a</a>".repeat(2_000);
    let page = format!("<base href={base}><main>{links}</main>");
    let content = html(&page, &url(), 10).unwrap().content;
    assert!(content.len() < 10 * 1024 * 1024, "{}", content.len());
    assert!(content.starts_with("[a](https://example.com/x"));
    assert!(content.ends_with('a'));
}

#[test]
fn texts_within_each_other_are_written_down_once() {
    let text = "word ".repeat(10_000);
    let within = |open: &str| format!("{}{text}", open.repeat(80));
    let signatures = within("<div class=code-header>");
    let tabs = within("<div role=tab aria-controls=p>");
    for page in [signatures, format!("<p id=p>panel</p>{tabs}")] {
        let content = html(&page, &url(), 10).unwrap().content;
        assert!(content.len() < 2 * text.len(), "{}", content.len());
    }
    let document = Document::from(within("<div class=code-header>"));
    terms::write_signatures(&document, Deadline::start()).unwrap();
    let texts = document.select("code").length();
    assert!(texts == 1 && document.tree.len() < 100);
}
