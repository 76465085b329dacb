//! A bound on the trees that a parser makes of the HTML of a message.
//!
//! Takes the parts with HTML; finds out whether their trees may take too much memory or time together. A parser
//! compares a tag with all open elements, and repairs faulty nesting: formatting elements that are open at the end of
//! a paragraph are made again, with their attributes, in each one after it (HTML standard, 13.2.4.3), so that 256 KiB
//! can become gigabytes. Only the standard's own rules tell how far that goes, so html5ever runs with a sink that
//! stores no tree, piece by piece, and stops beyond a bound. Its tokenizer takes quadratic time in the number of
//! attributes, which [`html_attributes`](super::html_attributes) bounds before.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, local_name, ns, parse_fragment};

/// Maximum depth of the tree, as in Chromium.
const MAX_DEPTH: usize = 512;

/// Maximum size of all elements of a message, in octets: [`ELEMENT`] and the values of the attributes of each.
const MAX_SIZE: usize = 8 * 1024 * 1024;
const ELEMENT: usize = 64;

/// Maximum number of comparisons with open elements: each element, with its attributes, is compared with those around
/// it.
const MAX_COMPARISONS: usize = 4_000_000;

/// Maximum number of nodes that are moved to another parent than the one in which they are written, such as text
/// between the rows of a table. The search for the place of each passes the siblings there.
const MAX_MOVES: usize = 2000;

/// Number of octets that are parsed before the bounds are looked at.
const PIECE: usize = 1024;

/// Number of the document, and of the parent of a node that has none.
const DOCUMENT: usize = 0;

/// True if a parser takes too much memory or time for the trees of all parts of a message.
pub(super) fn have_too_large_trees(parts: &[impl AsRef<str>]) -> bool {
    let mut cost = Cost::default();
    parts.iter().any(|html| {
        cost = add_cost(html.as_ref(), cost);
        cost.is_too_high()
    })
}

/// Adds the cost of a part to that of others. Stops beyond a bound.
fn add_cost(html: &str, others: Cost) -> Cost {
    // The context of ammonia.
    let context = QualName::new(None, ns!(html), local_name!("div"));
    let sink = TreeMeter::new(others);
    let mut parser = parse_fragment(sink, ParseOpts::default(), context, Vec::new(), false);
    let mut rest = html;
    while !rest.is_empty() && !parser.tokenizer.sink.sink.cost.get().is_too_high() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        parser.process(StrTendril::from(piece));
        rest = after;
    }
    parser.tokenizer.sink.sink.cost.get()
}

/// Cost of the trees of a message.
#[derive(Clone, Copy, Default)]
struct Cost {
    is_too_deep: bool,
    size: usize,
    comparisons: usize,
    moves: usize,
}

impl Cost {
    fn is_too_high(self) -> bool {
        self.is_too_deep
            || self.size > MAX_SIZE
            || self.comparisons > MAX_COMPARISONS
            || self.moves > MAX_MOVES
    }
}

/// A sink that only measures.
struct TreeMeter {
    /// Numbers of the nodes' parents.
    parents: RefCell<Vec<usize>>,
    cost: Cell<Cost>,
}

#[derive(Clone)]
struct Node {
    number: usize,
    name: Rc<QualName>,
    attributes: usize,
    is_integration_point: bool,
}

impl TreeMeter {
    fn new(others: Cost) -> Self {
        Self {
            parents: RefCell::new(vec![DOCUMENT]),
            cost: Cell::new(others),
        }
    }

    fn add(&self, add: impl FnOnce(&mut Cost)) {
        let mut cost = self.cost.get();
        add(&mut cost);
        self.cost.set(cost);
    }

    fn create(&self, name: QualName, attributes: usize, is_integration_point: bool) -> Node {
        self.add(|cost| cost.size += ELEMENT);
        let mut parents = self.parents.borrow_mut();
        parents.push(DOCUMENT);
        Node {
            number: parents.len() - 1,
            name: Rc::new(name),
            attributes,
            is_integration_point,
        }
    }

    fn create_unnamed(&self) -> Node {
        self.create(QualName::new(None, ns!(), local_name!("")), 0, false)
    }

    fn set_parent(&self, child: &NodeOrText<Node>, parent: usize) {
        let NodeOrText::AppendNode(child) = child else {
            return;
        };
        self.parents.borrow_mut()[child.number] = parent;
        let depth = self.depth(child.number);
        self.add(|cost| {
            cost.is_too_deep |= depth > MAX_DEPTH;
            cost.comparisons += depth * (1 + child.attributes);
        });
    }

    /// Depth of a node, up to one more than the maximum.
    fn depth(&self, mut number: usize) -> usize {
        let parents = self.parents.borrow();
        let mut depth = 0;
        while number != DOCUMENT && depth <= MAX_DEPTH {
            number = parents[number];
            depth += 1;
        }
        depth
    }

    fn count_move(&self) {
        self.add(|cost| cost.moves += 1);
    }

    fn parent(&self, node: &Node) -> usize {
        self.parents.borrow()[node.number]
    }
}

impl TreeSink for TreeMeter {
    type Handle = Node;
    type Output = Self;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Node {
        Node {
            number: DOCUMENT,
            name: Rc::new(QualName::new(None, ns!(), local_name!(""))),
            attributes: 0,
            is_integration_point: false,
        }
    }

    fn elem_name<'a>(&'a self, target: &'a Node) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> Node {
        let values: usize = attrs.iter().map(|attribute| attribute.value.len()).sum();
        self.add(|cost| cost.size += values);
        let is_integration_point = flags.mathml_annotation_xml_integration_point;
        self.create(name, attrs.len(), is_integration_point)
    }

    fn create_comment(&self, _: StrTendril) -> Node {
        self.create_unnamed()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Node {
        self.create_unnamed()
    }

    fn append(&self, parent: &Node, child: NodeOrText<Node>) {
        self.set_parent(&child, parent.number);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Node,
        prev_element: &Node,
        child: NodeOrText<Node>,
    ) {
        self.count_move();
        let parent = match self.parent(element) {
            DOCUMENT => prev_element.number,
            parent => parent,
        };
        self.set_parent(&child, parent);
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// The content of a template counts as its children.
    fn get_template_contents(&self, target: &Node) -> Node {
        target.clone()
    }

    fn same_node(&self, x: &Node, y: &Node) -> bool {
        x.number == y.number
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Node, new_node: NodeOrText<Node>) {
        self.count_move();
        self.set_parent(&new_node, self.parent(sibling));
    }

    fn add_attrs_if_missing(&self, _: &Node, _: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Node) {
        self.count_move();
        self.parents.borrow_mut()[target.number] = DOCUMENT;
    }

    /// The children keep the depth that they were counted with; the number of moves bounds the difference.
    fn reparent_children(&self, _: &Node, _: &Node) {}

    fn is_mathml_annotation_xml_integration_point(&self, target: &Node) -> bool {
        target.is_integration_point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Formatting elements that are all different, so that a parser keeps each of them.
    fn fonts(count: usize) -> String {
        let fonts: Vec<_> = (0..count)
            .map(|number| format!("<font size={number}>"))
            .collect();
        fonts.concat()
    }

    #[test]
    fn a_large_tree_is_found_in_time() {
        let begin = std::time::Instant::now();
        let attributes: Vec<_> = (0..100).map(|number| format!(" a{number}")).collect();
        let attributes = attributes.concat();
        let long = "x".repeat(100_000);
        for html in [
            "<b>".repeat(100_000),
            "<div>".repeat(100_000),
            "<span>".repeat(100_000),
            "<div><b><i>".repeat(50_000),
            "<table><tr><td>".repeat(50_000),
            "<template>".repeat(50_000),
            "<div><table></div></table>".repeat(20_000),
            "<b><i><div></b>".repeat(20_000),
            fonts(20_000),
            // Made again in each paragraph.
            format!("<p>{}</p>{}", fonts(400), "<p>x".repeat(10_000)),
            format!("<p><b><i><u><s><tt><em></p>{}", "<p>x".repeat(50_000)),
            format!("<p><a href={long}></p>{}", "<p>x".repeat(10_000)),
            "<p><font size=1><font size=2></p>".repeat(20_000),
            format!("<font{attributes}>").repeat(1_000),
            // Put before the table.
            format!("<table>{}", "<br>".repeat(50_000)),
            format!("<table>{}", "x<tr>".repeat(50_000)),
            // Moved out of the formatting element.
            "<b><p></b></p>".repeat(20_000),
        ] {
            assert!(have_too_large_trees(&[&html]), "{}", &html[..60]);
        }
        // Without a bound, some of them would take minutes and all memory.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn the_parts_of_a_message_count_together() {
        let long = "x".repeat(5_000);
        let part = format!("<p><a href={long}></p>{}", "<p>x".repeat(1_000));
        for (parts, is_too_large) in [(&[&part][..], false), (&[&part, &part], true)] {
            assert_eq!(have_too_large_trees(parts), is_too_large);
        }
    }

    #[test]
    fn the_tree_of_ordinary_html_is_not_too_large() {
        let row = "<tr style='height:15pt'><td width=64 style='border:none'><p class=MsoNormal>\
            <b><span lang=DE>one</span></b><o:p></o:p></p></td></tr>";
        let reply = "<div class=gmail_quote><blockquote type=cite><div dir=ltr>Hello<br><br>";
        for html in [
            String::new(),
            "<p>one</p>".repeat(25_000),
            "<br>".repeat(65_000),
            "a &amp; b < c\n".repeat(20_000),
            "<a href=https://corp.example/>one</a> ".repeat(6_000),
            "<a href=https://corp.example/>one ".repeat(6_000),
            "<p><font size=1>one</p>".repeat(100),
            "<li><b>one</b><i>two</i>".repeat(10_000),
            "<table><tr><td>".repeat(100),
            "<font color=red><div>one</font></div>".repeat(500),
            "<table>one<tr><td>two</table>".repeat(1_000),
            reply.repeat(150),
            format!("<table>{}</table>", row.repeat(1_600)),
            "<!-- one --><![if !mso]><svg><title>two</title></svg><math><annotation-xml>"
                .to_owned(),
            "<template><b>one</template><select><option>two</select>".to_owned(),
        ] {
            let start = &html[..html.len().min(60)];
            assert!(!have_too_large_trees(&[&html]), "{start}");
        }
    }
}
