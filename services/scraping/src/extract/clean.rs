//! Removes what is not for reading: first what no reader sees, then the frame around the
//! content. An element that holds content after all is kept, whatever it is called.

use dom_query::{Document, NodeRef};

use super::Error;
use super::deadline::Deadline;

const UNSEEN: &str = "script, style, noscript, template, iframe, object, embed, svg, canvas, \
    video, audio, button, input, select, textarea, dialog, \
    [hidden]:not([role='tabpanel']), [aria-hidden='true']";

const FRAME: &str = "nav, footer, header, aside, [role='navigation'], [role='search'], \
    [role='banner'], [role='contentinfo'], [role='complementary'], .sidebar, #sidebar, .toc, \
    #toc, [class*='breadcrumb'], .skip-link, .cookie-banner, #cookie-banner, .pagination";

/// What rustdoc says of every type in the same words.
const OF_EVERY_TYPE: &str = "#synthetic-implementations, #synthetic-implementations-list, \
    #blanket-implementations, #blanket-implementations-list";

/// Notes beside the text and heads of articles are content, where they stand inside of it.
const CONTENT_INSIDE_MAIN: [&str; 2] = ["aside", "header"];

const CONTENT: &str = "main, article, h1, pre";
const LEVELS: &str = "blockquote, ul, ol";
const LEVELS_NAMES: [&str; 3] = ["blockquote", "ul", "ol"];
const LEVELS_MAX: usize = 10;

pub(super) fn remove_unseen(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for node in document.select(UNSEEN).nodes() {
        deadline.check()?;
        // A dialog that is open may hide the page behind it from readers.
        if !holds_content(node) {
            node.remove_from_parent();
        }
    }
    Ok(())
}

pub(super) fn remove_frame(document: &Document, deadline: Deadline) -> Result<(), Error> {
    document.select(OF_EVERY_TYPE).remove();
    // The footer of a quotation names its source.
    document.select("blockquote footer").rename("p");
    for node in document.select(FRAME).nodes() {
        deadline.check()?;
        if !holds_content(node) && !is_part_of_content(node) {
            node.remove_from_parent();
        }
    }
    Ok(())
}

/// Each level of a quotation or list is a prefix on every line below it: a page of 5 MB
/// could grow to gigabytes of Markdown. Deeper levels become ordinary blocks.
pub(super) fn limit_levels(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for node in document.select(LEVELS).nodes() {
        deadline.check()?;
        let above = node.ancestors_it(None).filter(is_level).count();
        if above >= LEVELS_MAX {
            node.rename("div");
            let items = node
                .children()
                .into_iter()
                .filter(|child| child.has_name("li"));
            items.for_each(|item| item.rename("div"));
        }
    }
    Ok(())
}

fn is_level(node: &NodeRef) -> bool {
    LEVELS_NAMES.iter().any(|name| node.has_name(name))
}

fn holds_content(node: &NodeRef) -> bool {
    let holder = dom_query::Selection::from(*node);
    holder.select_single(CONTENT).exists()
}

fn is_part_of_content(node: &NodeRef) -> bool {
    let is_main = |node: &NodeRef| {
        let declared = node.attr("role").is_some_and(|role| &*role == "main");
        declared || node.has_name("main") || node.has_name("article")
    };
    let by_name = CONTENT_INSIDE_MAIN.iter().any(|name| node.has_name(name));
    by_name && node.ancestors_it(None).any(|above| is_main(&above))
}
