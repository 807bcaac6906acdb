//! Single traits of pages.

use super::*;

fn url() -> Url {
    Url::parse("https://example.com/manual/page.html").unwrap()
}

fn markdown(body: &str) -> String {
    html(&format!("<main>{body}</main>"), &url(), 100)
        .unwrap()
        .content
}

#[test]
fn tables_without_header_cells_stay_tables() {
    let table = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>";
    assert_eq!(
        markdown(table),
        "|   |   |\n| - | - |\n| a | b |\n| c | d |"
    );
}

#[test]
fn short_rows_are_filled() {
    let table = "<table><tr><th>a</th><th>b</th></tr><tr><td>c</td></tr></table>";
    assert_eq!(markdown(table), "| a | b |\n| - | - |\n| c |  |");
}

#[test]
fn tables_that_only_arrange_the_page_become_blocks() {
    let table = "<table><tr><td><h2>Left</h2></td><td><p>Right</p>\
        <table><tr><th>k</th></tr><tr><td>v</td></tr></table></td></tr></table>";
    assert_eq!(markdown(table), "## Left\n\nRight\n\n| k |\n| - |\n| v |");
    assert_eq!(markdown("<table><tr><td>only</td></tr></table>"), "only");
}

#[test]
fn code_keeps_its_lines_and_language() {
    let table = [
        ("<pre>a\n  b</pre>", "```\na\n  b\n```"),
        (
            "<pre><code class='lang-js'>a()</code></pre>",
            "```js\na()\n```",
        ),
        (
            "<pre class='language-css'><code>a{}</code></pre>",
            "```css\na{}\n```",
        ),
        ("<pre class='rust item-decl'>a</pre>", "```rust\na\n```"),
        ("<pre>a<br>b</pre>", "```\na\nb\n```"),
        (
            "<pre><code><div>a</div><div>b</div></code></pre>",
            "```\na\nb\n```",
        ),
        ("<pre>x ``` y</pre>", "````\nx ``` y\n````"),
        (
            "<div class='highlight-source-shell'><pre>ls *</pre></div>",
            "```shell\nls *\n```",
        ),
        ("<pre><span class='lineno'>1 </span>a</pre>", "```\na\n```"),
    ];
    for (body, expected) in table {
        assert_eq!(markdown(body), expected, "{body}");
    }
}

#[test]
fn boxes_of_task_lists_are_signs() {
    let list = "<ul><li class='task-list-item'><p><input type=checkbox checked>a</p>\
        <ul><li class='task-list-item'><input type=checkbox>b</ul></ul><input type=checkbox>c";
    let found = markdown(list);
    assert_eq!(found.replace(char::is_whitespace, ""), "-☑a-☐bc");
}

#[test]
fn headings_lose_their_own_links() {
    let table = [
        ("<h2 id=a><a href='#a'>Title</a></h2>", "## Title"),
        ("<h2>Title <a href='page.html#a'>#</a></h2>", "## Title"),
        (
            "<h2><a href='/b'>Other</a></h2>",
            "## [Other](https://example.com/b)",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(markdown(body), expected, "{body}");
    }
}

#[test]
fn hidden_panels_of_tabs_are_content() {
    let tabs = "<div role=tabpanel><p>Linux</p></div><div role=tabpanel hidden><p>macOS</p></div>";
    assert_eq!(markdown(tabs), "Linux\n\nmacOS");
}

#[test]
fn what_opens_on_a_click_is_content_under_its_label() {
    let table = [
        (
            "<details><summary>Why?</summary><p>Because.</p></details>",
            "**Why?**\n\nBecause.",
        ),
        (
            "<h3><button aria-controls=a>Why?</button></h3><div id=a hidden><p>Because.</p></div>",
            "### Why?\n\nBecause.",
        ),
        (
            "<div class=faq><button>Why?</button><div class=answer hidden><p>Because.</p></div></div>",
            "**Why?**\n\nBecause.",
        ),
        (
            "<div role=tablist><button role=tab aria-controls=l>Linux</button><button role=tab \
             aria-controls=m>macOS</button></div><div id=l role=tabpanel><pre>a</pre></div>\
             <div id=m role=tabpanel hidden><pre>b</pre></div>",
            "**Linux**\n\n```\na\n```\n\n**macOS**\n\n```\nb\n```",
        ),
        (
            "<button aria-controls=n>Menu</button><div id=n hidden><nav>Home</nav></div><p>Text</p>",
            "Text",
        ),
        ("<p>Text</p><button>Copy</button>", "Text"),
    ];
    for (body, expected) in table {
        assert_eq!(markdown(body), expected, "{body}");
    }
}

#[test]
fn definitions_stay_with_their_terms() {
    let list = "<dl><dt><code>put</code></dt><dt><code>add</code></dt><dd>Adds.</dd>\
        <div><dt>drain</dt><dd><p>Empties.</p><pre>x()</pre></dd></div></dl>";
    let found = markdown(list);
    let expected =
        "- **`put`**\n\n  **`add`**\n\n  Adds.\n\n- **drain**\n\n  Empties.\n\n  ```\n  x()\n  ```";
    assert_eq!(found, expected);
}

#[test]
fn what_a_page_says_to_crawlers_is_told() {
    let page = "<head><link rel=Canonical href='/b?x=1#y'><META NAME=Robots content='noindex, NoFollow'></head>\
        <a href=/c rel='noopener nofollow'>c</a><a href=/d rel=nofollow>d</a><a href=/d>d</a>";
    let found = html(page, &url(), 10).unwrap();
    assert_eq!(
        found.canonical_url.as_deref(),
        Some("https://example.com/b?x=1")
    );
    assert!(found.nofollow);
    let nofollow: Vec<_> = found.links.iter().map(|link| link.nofollow).collect();
    assert_eq!(nofollow, [true, false]);
    let plain = html("<p>x", &url(), 10).unwrap();
    assert!(!plain.nofollow && plain.canonical_url.is_none());
}

#[test]
fn code_outside_of_the_guess_brings_back_the_whole_page() {
    let prose = "<p>A long paragraph of words, with commas, which reads like an article.</p>";
    let page = format!(
        "<div class=post>{}</div><div class='comment'><pre>cargo run</pre></div>",
        prose.repeat(40),
    );
    let found = html(&page, &url(), 10).unwrap();
    assert!(found.content.contains("cargo run"));
    assert_eq!(found.method, Method::WholePage);
}

#[test]
fn links_are_distinct_bounded_and_named() {
    let page = "<a href='/a'><img src=x></a><a href='/a#b'>A</a><a href='#c'>c</a>\
        <a href='mailto:a@b'>m</a><a href='javascript:x()'>j</a>\
        <a href='b' aria-label='Bee'></a><a href='//cdn.example/c'>C</a>";
    let links = html(page, &url(), 10).unwrap().links;
    let found: Vec<_> = links
        .iter()
        .map(|l| (l.url.as_str(), l.text.as_str()))
        .collect();
    let expected = [
        ("https://example.com/a", "A"),
        ("https://example.com/manual/b", "Bee"),
        ("https://cdn.example/c", "C"),
    ];
    assert_eq!(found, expected);
    assert_eq!(html(page, &url(), 1).unwrap().links.len(), 1);
}

#[test]
fn markdown_and_text_are_kept_as_they_are() {
    let found = text("intro\n# The *title*\n\ntext".to_owned(), &url());
    assert_eq!(found.title, "The *title*");
    assert_eq!(found.content, "intro\n# The *title*\n\ntext");
    assert_eq!(text("words".to_owned(), &url()).title, "page.html");
}
