//! Definition lists become lists whose items begin with the term in bold: Markdown has no such
//! lists of its own, and the converter would run terms and definitions together. References of
//! programming languages are made of them, one within the other.

use dom_query::{Document, NodeRef, Selection};

use super::Error;
use super::deadline::Deadline;
use super::metadata::one_line;

/// What stands in a paragraph of its own.
const BLOCKS: &str = "p, div, ul, ol, dl, pre, table, blockquote, section, article, details, \
    h1, h2, h3, h4, h5, h6, hr, figure";

/// What a reference calls the signature of a function, by Sphinx, rustdoc and javadoc.
const SIGNATURES: &str = "dt.sig, .code-header, .member-signature";

/// A signature is code: no emphasis, no links, and no sign that Markdown would read as its own.
pub(super) fn write_signatures(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for signature in document.select(SIGNATURES).nodes() {
        deadline.check()?;
        // One within another went with what was in that: its text is there already.
        let top = signature.ancestors_it(None).last();
        if !top.is_some_and(|top| top.is_document()) {
            continue;
        }
        let text = one_line(&signature.text());
        let code = document.tree.new_element("code");
        code.append_child(&document.tree.new_text(text));
        for child in signature.children() {
            child.remove_from_parent();
        }
        signature.append_child(&code);
    }
    Ok(())
}

pub(super) fn prepare(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for list in document.select("dl").nodes() {
        // Groups of terms and definitions may have a wrapper each.
        for wrapper in list.element_children() {
            if wrapper.has_name("div") {
                for part in wrapper.children() {
                    part.remove_from_parent();
                    wrapper.insert_before(&part);
                }
                wrapper.remove_from_parent();
            }
        }
        make_items(list, deadline)?;
        list.rename("ul");
    }
    Ok(())
}

fn make_items(list: &NodeRef, deadline: Deadline) -> Result<(), Error> {
    let mut item: Option<NodeRef> = None;
    let mut is_defined = false;
    for part in list.element_children() {
        deadline.check()?;
        let is_term = part.has_name("dt");
        if !is_term && !part.has_name("dd") {
            continue;
        }
        // Several terms may share what defines them.
        let belongs = item.filter(|_| !(is_term && is_defined));
        let into = belongs.unwrap_or_else(|| {
            let new = list.tree.new_element("li");
            part.insert_before(&new);
            new
        });
        is_defined = !is_term;
        part.remove_from_parent();
        into.append_child(&part);
        let is_inline = !Selection::from(part).select_single(BLOCKS).exists();
        part.rename(if is_inline { "p" } else { "div" });
        if is_term && is_inline {
            make_bold(&part);
        }
        item = Some(into);
    }
    Ok(())
}

/// The whole of an element that has no blocks in it.
pub(super) fn make_bold(node: &NodeRef) {
    let strong = node.tree.new_element("strong");
    for child in node.children() {
        child.remove_from_parent();
        strong.append_child(&child);
    }
    node.append_child(&strong);
}

/// The same for one that may be a heading, or have one: that is set apart as it is.
pub(super) fn make_label(node: &NodeRef) {
    let is_inline = !Selection::from(*node).select_single(BLOCKS).exists();
    node.rename(if is_inline { "p" } else { "div" });
    if is_inline {
        make_bold(node);
    }
}
