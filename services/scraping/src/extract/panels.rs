//! What opens when a reader clicks: accordions, tabs, details. All of it is content, under the
//! label that is clicked, though the label may be a button and the rest hidden. Runs before what
//! nobody sees is removed. Titles of notes are labels as well.

use std::collections::HashMap;

use dom_query::{Document, NodeRef, Selection};

use super::Error;
use super::deadline::Deadline;
use super::terms::make_label;

/// Class names of questions that scripts open, where nothing else says what they are.
const OPENERS: &str =
    "button.accordion, button.accordion-button, button.collapsible, button.faq-question";
/// Of what all buttons inside are such questions.
const HOLDERS: &str = ".accordion, .faq, .faq-item, .faq-question";

/// Tabs that are opened by style sheets: labels of fields, and as many blocks.
const TABBED: &str = ".tabbed-set";

const NOTE_TITLES: &str = ".admonition-title, .admonition > .title, .callout-title, \
    .alert-title, .alert-heading, .admonition-heading";

const HEADINGS: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];
const ANCESTORS: usize = 3;
/// One label may be within another, and each is written down whole.
const LABEL_CHARS_MAX: usize = 500;

pub(super) fn open(document: &Document, deadline: Deadline) -> Result<(), Error> {
    open_controlled(document, deadline)?;
    open_beside(document, deadline)?;
    for set in document.select(TABBED).nodes() {
        deadline.check()?;
        label_tabs(document, set);
    }
    document.select("details").rename("div");
    for summary in document.select("summary").nodes() {
        deadline.check()?;
        make_label(summary);
    }
    for title in document.select(NOTE_TITLES).nodes() {
        deadline.check()?;
        if !is_heading(title) && has_words(title) {
            make_label(title);
        }
    }
    Ok(())
}

/// Buttons that name what they open.
fn open_controlled(document: &Document, deadline: Deadline) -> Result<(), Error> {
    let by_id = by_id(document);
    // Many buttons may name one panel, which may be most of the page: it is looked through once.
    let mut judged = HashMap::new();
    for button in document
        .select("button[aria-controls], [role='tab'][aria-controls]")
        .nodes()
    {
        deadline.check()?;
        let panel = button.attr("aria-controls");
        let Some(panel) = panel.and_then(|id| by_id.get(&*id)).copied() else {
            continue;
        };
        let is_content = *judged.entry(panel.id).or_insert_with(|| is_content(&panel));
        if is_content && is_opener(button) {
            panel.remove_attrs(&["hidden", "aria-hidden"]);
            label(document, button, &panel);
        }
    }
    Ok(())
}

/// Buttons that are known by their class, or by that of something around them.
fn open_beside(document: &Document, deadline: Deadline) -> Result<(), Error> {
    for button in document.select(OPENERS).nodes() {
        deadline.check()?;
        show_with_following(button);
    }
    // As one selector this would compare the classes of all that is above each button.
    for holder in document.select(HOLDERS).iter() {
        deadline.check()?;
        for button in holder.select("button").nodes() {
            deadline.check()?;
            show_with_following(button);
        }
    }
    Ok(())
}

fn show_with_following(button: &NodeRef) {
    if button.has_name("button") && has_words(button) {
        if let Some(panel) = following(button) {
            panel.remove_attrs(&["hidden", "aria-hidden"]);
        }
        show(button);
    }
}

fn by_id(document: &Document) -> HashMap<String, NodeRef<'_>> {
    let mut by_id = HashMap::new();
    for node in document.select("[id]").nodes() {
        if let Some(id) = node.attr("id") {
            by_id.entry(id.to_string()).or_insert(*node);
        }
    }
    by_id
}

/// Menus are opened the same way, and are none.
fn is_content(panel: &NodeRef) -> bool {
    let has_menu = Selection::from(*panel)
        .select_single("nav, [role='navigation'], [role='menu']")
        .exists();
    !is_menu(panel) && !has_menu && has_words(panel)
}

fn is_opener(button: &NodeRef) -> bool {
    let in_menu = button.ancestors_it(None).any(|above| is_menu(&above));
    has_words(button) && !in_menu
}

fn is_menu(node: &NodeRef) -> bool {
    let role = node.attr("role").unwrap_or_default();
    node.has_name("nav") || matches!(&*role, "navigation" | "menu" | "listbox" | "dialog")
}

fn has_words(node: &NodeRef) -> bool {
    node.text().chars().any(char::is_alphanumeric)
}

/// A tab's label goes to its panel, away from those of the others.
fn label(document: &Document, button: &NodeRef, panel: &NodeRef) {
    let is_tab = button.attr("role").is_some_and(|role| &*role == "tab");
    if !is_tab {
        return show(button);
    }
    prepend_label(document, button, panel);
}

/// Labels and blocks have nothing in common but their order.
fn label_tabs(document: &Document, set: &NodeRef) {
    let part = |name: &'static str| {
        let parts = set.element_children().into_iter();
        parts.filter(move |part| part.has_class(name))
    };
    let labels = part("tabbed-labels").flat_map(|labels| labels.element_children());
    let blocks = part("tabbed-content").flat_map(|content| content.element_children());
    let pairs: Vec<_> = labels.zip(blocks).collect();
    for (name, block) in pairs {
        prepend_label(document, &name, &block);
    }
}

fn prepend_label(document: &Document, name: &NodeRef, panel: &NodeRef) {
    let text = name.text();
    let text = text.trim().chars().take(LABEL_CHARS_MAX);
    let text = document.tree.new_text(text.collect::<String>());
    let copy = document.tree.new_element("p");
    copy.append_child(&text);
    panel.prepend_child(&copy);
    make_label(&copy);
    name.remove_from_parent();
}

fn show(button: &NodeRef) {
    let in_heading = button
        .ancestors_it(Some(ANCESTORS))
        .any(|above| is_heading(&above));
    match in_heading {
        true => button.rename("span"),
        false => make_label(button),
    }
    button.remove_attrs(&["hidden", "aria-hidden"]);
}

fn is_heading(node: &NodeRef) -> bool {
    HEADINGS.iter().any(|name| node.has_name(name))
}

/// The element behind the button, or behind the heading that it is in.
fn following<'a>(button: &NodeRef<'a>) -> Option<NodeRef<'a>> {
    let heading = button
        .ancestors_it(Some(ANCESTORS))
        .find(|above| is_heading(above));
    heading.unwrap_or(*button).next_element_sibling()
}
