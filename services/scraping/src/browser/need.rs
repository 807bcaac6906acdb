//! Whether a page has to be rendered to be read: judged by the page as the server sent it.

use dom_query::{Document, Matcher, NodeRef};

/// With so much to read, a page was sent whole, whatever its scripts go on to do.
const CONTENT_CHARS_MIN: usize = 600;
/// An element with less text is a frame to be filled, with a word of patience in it at most.
const EMPTY_CHARS_MAX: usize = 80;
/// A page with less text, and with scripts, shows its readers something else.
const PAGE_CHARS_MIN: usize = 200;

const ROOTS: &str = "#root, #app, #__next, #__nuxt, #___gatsby, #svelte, #app-root, app-root, \
    [ng-app], [data-reactroot], [ng-version]";
const SCRIPTS: &str = "script:not([type]), script[type='module'], script[type='text/javascript'], \
    script[type='application/javascript'], script[type='']";
const ASKING: [&str; 7] = [
    "enable javascript",
    "enable java script",
    "javascript is required",
    "javascript is disabled",
    "requires javascript",
    "turn on javascript",
    "javascript to run this app",
];

/// The reason, in words, if there is one.
pub(crate) fn reason(
    html: &str,
    content_chars: usize,
    wait_for: Option<&str>,
) -> Option<&'static str> {
    let document = Document::from(html);
    if !document.select_single(SCRIPTS).exists() {
        return None;
    }
    // A selector that only the browser understands counts as not found.
    let waits = wait_for.map(|selector| Matcher::new(selector).ok());
    match waits {
        Some(Some(matcher)) if document.select_matcher(&matcher).exists() => return None,
        Some(_) => return Some("wait_for matches nothing in the page as it was sent"),
        None => {}
    }
    if content_chars >= CONTENT_CHARS_MIN {
        return None;
    }
    // Read as one text: elements for browsers without scripts may be within each other.
    let text = document.select_single("body").text().to_lowercase();
    if ASKING.iter().any(|words| text.contains(words)) {
        return Some("the page asks for JavaScript");
    }
    document
        .select("noscript, script, style, template")
        .remove();
    let is_empty = |node: &NodeRef| node.normalized_char_count() <= EMPTY_CHARS_MAX;
    if document.select(ROOTS).nodes().iter().any(is_empty) {
        return Some("the page is an application's empty frame");
    }
    let chars = document
        .body()
        .map_or(0, |body| body.normalized_char_count());
    (chars < PAGE_CHARS_MIN).then_some("the page has scripts and hardly any text")
}

#[cfg(test)]
mod tests {
    use super::reason;

    fn of(html: &str, content_chars: usize) -> Option<&'static str> {
        reason(html, content_chars, None)
    }

    #[test]
    fn pages_that_scripts_build_are_recognised() {
        let table = [
            (
                "<body><div id=root></div><script src=a.js></script>",
                "empty frame",
            ),
            (
                "<body><div id=__next><p>Loading…</div><script type=module src=a.js></script>",
                "empty frame",
            ),
            (
                "<body><script>go()</script><noscript>You need to enable JavaScript to run this app.</noscript>",
                "asks",
            ),
            (
                "<head><script>go()</script><noscript>Please enable JavaScript.</noscript></head><body>",
                "asks",
            ),
            (
                "<body><p>Please wait<script>go()</script>",
                "hardly any text",
            ),
        ];
        for (html, expected) in table {
            let found = of(html, 20);
            assert!(
                found.is_some_and(|why| why.contains(expected)),
                "{html}: {found:?}"
            );
        }
    }

    #[test]
    fn pages_that_were_sent_whole_are_left_alone() {
        let text = "A sentence that stands in the page as it was sent. ".repeat(20);
        let whole =
            format!("<body><div id=root><main>{text}</main></div><script src=a.js></script>");
        assert_eq!(of(&whole, text.len()), None);
        // Little, but all there is.
        assert_eq!(of("<body><p>Not much here.", 14), None);
        let data = r#"<body><p>Short.<script type="application/ld+json">{}</script>"#;
        assert_eq!(of(data, 6), None);
        // Enough outside of what was taken for the content.
        let list = format!("<body><ul><li>{text}</ul><script>track()</script>");
        assert_eq!(of(&list, 10), None);
    }

    #[test]
    fn what_is_waited_for_decides() {
        let html = "<body><div class=price>7</div><script>x()</script>";
        assert_eq!(reason(html, 10_000, Some(".price")), None);
        let missing = reason(html, 10_000, Some(".stock"));
        assert!(missing.is_some_and(|why| why.contains("wait_for")));
        assert!(reason(html, 10_000, Some("p:popover-open(")).is_some());
    }
}
