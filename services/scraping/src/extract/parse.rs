//! The guarded parse. The time that tree algorithms take grows with the square of the
//! nesting and worse (20,000 nested `<div>`s, 100 KB of input, keep an extractor busy for a
//! minute), and a running extraction cannot be stopped from outside. So the page goes to
//! the streaming parser in slices, and after each slice the tree is measured: it is the
//! parser's own tree that counts, not a guess at how it treats unclosed and misnested tags.

use std::borrow::Cow;
use std::cell::RefCell;

use dom_query::{Document, NodeId};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute, ParseOpts, QualName, local_name, parse_document};

use super::Error;
use super::deadline::Deadline;
use crate::text;

const DEPTH_MAX: usize = 256;

/// Misnested tags let a small page grow into a huge tree. A page of 5 MB of ordinary
/// markup has about a third of this.
const NODES_MAX: usize = 500_000;

/// Longer ones are no names that we know. Rules ask for the class of an element once for each
/// that is below it.
const CLASS_BYTES_MAX: usize = 2 * 1024;

/// Small, because the limits can be exceeded within one slice.
const SLICE_BYTES: usize = 4 * 1024;

pub(super) fn parse(html: &str, deadline: Deadline) -> Result<Document, Error> {
    let options = ParseOpts {
        tree_builder: TreeBuilderOpts {
            // Without scripting the content of <noscript> is part of the page.
            scripting_enabled: false,
            ..TreeBuilderOpts::default()
        },
        ..ParseOpts::default()
    };
    let mut parser = parse_document(Measured::default(), options);
    for slice in slices(html) {
        parser.process(StrTendril::from_slice(slice));
        parser.tokenizer.sink.sink.check()?;
        // One tag with a million attributes grows no tree, but takes its time.
        deadline.check()?;
    }
    let measured = parser.finish();
    measured.check()?;
    Ok(measured.document)
}

fn slices(mut html: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let slice = text::start(html, SLICE_BYTES);
        html = &html[slice.len()..];
        (!slice.is_empty()).then_some(slice)
    })
}

/// The document, and which of its elements have not been measured yet.
#[derive(Default)]
struct Measured {
    document: Document,
    created: RefCell<Vec<NodeId>>,
}

impl Measured {
    fn check(&self) -> Result<(), Error> {
        let tree = &self.document.tree;
        if tree.len() > NODES_MAX {
            return Err(Error::Nodes {
                nodes_max: NODES_MAX,
            });
        }
        let too_deep = self.created.take().iter().any(|id| {
            let ancestors = tree.ancestor_ids_of_it(id, Some(DEPTH_MAX + 1));
            ancestors.count() > DEPTH_MAX
        });
        if too_deep {
            return Err(Error::Nesting {
                depth_max: DEPTH_MAX,
            });
        }
        Ok(())
    }
}

fn is_bounded(attribute: &Attribute) -> bool {
    attribute.name.local != local_name!("class") || attribute.value.len() <= CLASS_BYTES_MAX
}

/// Everything is the document's own work; only creation is noted.
impl TreeSink for Measured {
    type Handle = NodeId;
    type Output = Self;
    type ElemName<'a> = <Document as TreeSink>::ElemName<'a>;

    fn finish(self) -> Self {
        self
    }

    /// Dropped: a broken page has millions, and nobody reads them.
    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> NodeId {
        self.document.get_document()
    }

    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Self::ElemName<'a> {
        self.document.elem_name(target)
    }

    fn create_element(
        &self,
        name: QualName,
        mut attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> NodeId {
        attributes.retain(is_bounded);
        let id = self.document.create_element(name, attributes, flags);
        self.created.borrow_mut().push(id);
        id
    }

    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.document.create_comment(text)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> NodeId {
        self.document.create_pi(target, data)
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.document.append(parent, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &NodeId,
        previous: &NodeId,
        child: NodeOrText<NodeId>,
    ) {
        self.document
            .append_based_on_parent_node(element, previous, child);
    }

    fn append_doctype_to_document(
        &self,
        name: StrTendril,
        public_id: StrTendril,
        system_id: StrTendril,
    ) {
        self.document
            .append_doctype_to_document(name, public_id, system_id);
    }

    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        self.document.get_template_contents(target)
    }

    fn same_node(&self, one: &NodeId, other: &NodeId) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.document.set_quirks_mode(mode);
    }

    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        self.document.append_before_sibling(sibling, child);
    }

    fn add_attrs_if_missing(&self, target: &NodeId, mut attributes: Vec<Attribute>) {
        attributes.retain(is_bounded);
        self.document.add_attrs_if_missing(target, attributes);
    }

    fn remove_from_parent(&self, target: &NodeId) {
        self.document.remove_from_parent(target);
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        self.document.reparent_children(node, new_parent);
    }

    fn is_mathml_annotation_xml_integration_point(&self, target: &NodeId) -> bool {
        self.document
            .is_mathml_annotation_xml_integration_point(target)
    }
}
