//! Prepares code blocks: the converter fences every `<pre>`, takes its text as it stands and
//! the language from an attribute. So line numbers go, line breaks become characters, and
//! the language is read from the class names that highlighters use.

use dom_query::{Document, NodeRef, Selection};

use super::Error;
use super::deadline::Deadline;

const LINE_NUMBERS: &str = ".linenos, .linenodiv, .lineno, .line-number, .line-numbers-rows, \
    .hljs-ln-numbers, .gutter, .rouge-gutter";

/// How far above a `<pre>` its highlighter may have put the language.
const ANCESTORS: usize = 3;

const PREFIXES: [&str; 4] = ["language-", "lang-", "highlight-source-", "highlight-"];

/// The word after these is the language: SyntaxHighlighter, pandoc, highlight.js.
const ANNOUNCERS: [&str; 3] = ["brush:", "sourceCode", "hljs"];

/// On the block itself some write nothing but the name.
const BARE: [&str; 16] = [
    "bash",
    "c",
    "console",
    "cpp",
    "go",
    "java",
    "javascript",
    "json",
    "python",
    "ruby",
    "rust",
    "sh",
    "sql",
    "toml",
    "xml",
    "yaml",
];

/// Names that stand for no language.
const NO_LANGUAGE: [&str; 6] = [
    "none",
    "text",
    "plaintext",
    "default",
    "nohighlight",
    "plain",
];

pub(super) fn prepare(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for node in document.select("pre").nodes() {
        deadline.check()?;
        let block = Selection::from(*node);
        let language = language(node, &block);
        block.select(LINE_NUMBERS).remove();
        break_lines(&block, deadline)?;
        if let Some(language) = language {
            node.set_attr("data-lang", &language);
        }
    }
    // The other half of a table that puts the numbers beside the code.
    document
        .select("td.linenos, td.gutter, td.rouge-gutter")
        .remove();
    Ok(())
}

fn break_lines(block: &Selection, deadline: Deadline) -> Result<(), Error> {
    for line in block.select("br").nodes() {
        line.insert_before(&line.tree.new_text("\n"));
        line.remove_from_parent();
    }
    // Some highlighters make each line an element of its own, without a line break.
    for line in block.select("div, p, li, tr").nodes() {
        deadline.check()?;
        if !line.text().ends_with('\n') {
            line.append_child(&line.tree.new_text("\n"));
        }
    }
    Ok(())
}

fn language(node: &NodeRef, block: &Selection) -> Option<String> {
    let inside = block.select_single("code").nodes().first().copied();
    let named = |node: NodeRef| attribute(&node).or_else(|| from_classes(&node.class()?));
    let own = || inside.into_iter().chain([*node]);
    own()
        .find_map(named)
        .or_else(|| own().find_map(|node| bare(&node.class()?)))
        .or_else(|| node.ancestors_it(Some(ANCESTORS)).find_map(named))
}

fn bare(classes: &str) -> Option<String> {
    let mut words = classes.split_ascii_whitespace();
    words.find(|word| BARE.contains(word)).map(str::to_owned)
}

fn attribute(node: &NodeRef) -> Option<String> {
    ["data-lang", "data-language"]
        .iter()
        .find_map(|name| valid(&node.attr(name)?))
}

fn from_classes(classes: &str) -> Option<String> {
    let words: Vec<_> = classes.split_ascii_whitespace().collect();
    let prefixed = words
        .iter()
        .filter_map(|word| PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix)));
    let announced = words
        .windows(2)
        .filter(|pair| ANNOUNCERS.contains(&pair[0]))
        .map(|pair| pair[1]);
    prefixed.chain(announced).find_map(valid)
}

fn valid(name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches(';').to_ascii_lowercase();
    let is_name = (1..=20).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-#._".contains(&b));
    (is_name && !NO_LANGUAGE.contains(&name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_read_from_class_names() {
        let table = [
            ("language-rust", Some("rust")),
            ("hljs language-C++", Some("c++")),
            ("hljs python", Some("python")),
            ("highlight-python notranslate", Some("python")),
            ("highlight highlight-source-shell", Some("shell")),
            ("highlight-default notranslate", None),
            ("brush: js;", Some("js")),
            ("sourceCode haskell", Some("haskell")),
            ("lang-text", None),
            ("highlight", None),
            ("wide", None),
        ];
        for (classes, expected) in table {
            assert_eq!(from_classes(classes).as_deref(), expected, "{classes}");
        }
    }
}
