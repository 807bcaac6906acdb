//! Signs that generators put beside the text: links to the place itself, or to where it was
//! made from, and the boxes of task lists.

use dom_query::{Document, NodeRef, Selection};

use super::Error;
use super::deadline::Deadline;

const PERMALINKS: &str = ".headerlink, .anchor-link, .hash-link, .header-anchor, .permalink";
/// Of rustdoc and Sphinx.
const SOURCE_LINKS: &str = "a.src, a.viewcode-link, a.viewcode-back";
const HEADINGS: &str = "h1, h2, h3, h4, h5, h6";

/// Before what nobody sees is removed: boxes are input fields.
pub(super) fn write_boxes(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for field in document.select("input[type='checkbox']").nodes() {
        deadline.check()?;
        let is_item = |above: NodeRef| above.has_name("li") && above.has_class("task-list-item");
        if !field.ancestors_it(None).any(is_item) {
            continue;
        }
        let sign = match field.has_attr("checked") {
            true => "☑ ",
            false => "☐ ",
        };
        field.insert_before(&document.tree.new_text(sign));
    }
    Ok(())
}

pub(super) fn remove_links(document: &Document, deadline: Deadline) -> Result<(), Error> {
    document.select(PERMALINKS).remove();
    document.select(SOURCE_LINKS).remove();
    // The sign of a section, and the arrow back from a footnote.
    for link in document.select("a[href^='#']").nodes() {
        deadline.check()?;
        let has_picture = Selection::from(*link).select_single("img").exists();
        if !has_words(link) && !has_picture {
            link.remove_from_parent();
        }
    }
    // Headings are often links to themselves.
    for heading in document.select(HEADINGS).iter() {
        for link in heading.select("a").nodes() {
            deadline.check()?;
            let to_itself = link.attr("href").is_none_or(|href| href.contains('#'));
            match (to_itself, has_words(link)) {
                (true, true) => link.rename("span"),
                (true, false) => link.remove_from_parent(),
                (false, _) => {}
            }
        }
    }
    Ok(())
}

fn has_words(node: &NodeRef) -> bool {
    node.text().chars().any(char::is_alphanumeric)
}
