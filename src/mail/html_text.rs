//! Text of HTML, as a browser shows it.
//!
//! Takes HTML; returns lines of plain text. Block elements and `br` separate lines, cells of a table are
//! separated by a blank, and at most one empty line is left between lines. White space collapses except in
//! preformatted text. Comments, scripts, styles, titles and templates are left out; styles are not evaluated,
//! and links and pictures contribute no text of their own.
//!
//! Takes linear time, and counts nested elements instead of storing them.

use std::iter::repeat_n;

use super::character_references::decode_references;
use super::html_tokens::{HtmlToken, HtmlTokens};

/// Converts HTML to text.
pub(super) fn html_to_text(html: &str) -> String {
    let html = html.replace("\r\n", "\n").replace('\r', "\n");
    let mut layout = Layout::default();
    for token in HtmlTokens::of(&html) {
        layout.push(token);
    }
    layout.text
}

/// The effect of a tag on lines.
enum Effect {
    /// `br`
    LineBreak,
    Block,
    Cell,
    Preformatted,
    Template,
    Nothing,
}

impl Effect {
    fn of(name: &str) -> Self {
        // As long as the longest name below.
        let mut lower = [0; 10];
        let Some(lower) = lower.get_mut(..name.len()) else {
            return Self::Nothing;
        };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"br" => Self::LineBreak,
            b"td" | b"th" => Self::Cell,
            b"listing" | b"pre" => Self::Preformatted,
            b"template" => Self::Template,
            b"address" | b"article" | b"aside" | b"blockquote" | b"body" | b"caption"
            | b"center" | b"dd" | b"details" | b"dialog" | b"dir" | b"div" | b"dl" | b"dt"
            | b"fieldset" | b"figcaption" | b"figure" | b"footer" | b"form" | b"frameset"
            | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"header" | b"hgroup" | b"hr"
            | b"html" | b"legend" | b"li" | b"main" | b"menu" | b"nav" | b"ol" | b"optgroup"
            | b"option" | b"p" | b"search" | b"section" | b"summary" | b"table" | b"tbody"
            | b"tfoot" | b"thead" | b"tr" | b"ul" => Self::Block,
            _ => Self::Nothing,
        }
    }
}

/// Content of the present line.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    /// Non-breaking spaces, which make an empty line visible.
    Blank,
    Text,
}

/// The text so far.
#[derive(Default)]
struct Layout {
    text: String,
    /// Line ends that precede the next character, if the text is not empty.
    line_ends: usize,
    /// White space that precedes the next character of the line.
    blanks: String,
    line: Line,
    /// Number of open preformatted elements.
    preformatted: usize,
    /// Number of open templates, in which there is no text.
    templates: usize,
    /// The last token was the start of a preformatted element. A line end that follows is ignored.
    is_at_preformatted: bool,
}

impl Layout {
    fn push(&mut self, token: HtmlToken) {
        let is_at_preformatted = std::mem::take(&mut self.is_at_preformatted);
        match token {
            HtmlToken::Start(name) => self.push_tag(name, true),
            HtmlToken::End(name) => self.push_tag(name, false),
            _ if self.templates > 0 => {}
            HtmlToken::Text(text) => {
                let text = text
                    .strip_prefix('\n')
                    .filter(|_| is_at_preformatted)
                    .unwrap_or(text);
                decode_references(text, |c| self.push_character(c));
            }
            HtmlToken::Raw { name, content } => self.push_raw(name, content),
        }
    }

    fn push_tag(&mut self, name: &str, is_start: bool) {
        match Effect::of(name) {
            Effect::Template => count(&mut self.templates, is_start),
            _ if self.templates > 0 => {}
            Effect::LineBreak => self.break_line(),
            Effect::Block => self.end_block(),
            Effect::Cell => self.end_cell(),
            Effect::Preformatted => {
                self.end_block();
                count(&mut self.preformatted, is_start);
                self.is_at_preformatted = is_start;
            }
            Effect::Nothing => {}
        }
    }

    /// An element in which tags are text. Some of them are not shown.
    fn push_raw(&mut self, name: &str, content: &str) {
        if !matches!(name, "plaintext" | "textarea" | "xmp") {
            return;
        }
        self.end_block();
        self.preformatted += 1;
        let content = content.strip_prefix('\n').unwrap_or(content);
        if name == "textarea" {
            decode_references(content, |c| self.push_character(c));
        } else {
            content.chars().for_each(|c| self.push_character(c));
        }
        self.preformatted -= 1;
        self.end_block();
    }

    fn push_character(&mut self, c: char) {
        match c {
            '\0' => {}
            '\n' if self.preformatted > 0 => self.break_line(),
            ' ' | '\t' if self.preformatted > 0 => self.blanks.push(c),
            ' ' | '\t' | '\n' | '\x0c' | '\r' => self.push_collapsing_blank(),
            '\u{a0}' => {
                self.blanks.push(' ');
                if self.line == Line::Empty {
                    self.line = Line::Blank;
                }
            }
            _ => {
                if !self.text.is_empty() {
                    self.text.extend(repeat_n('\n', self.line_ends));
                }
                self.line_ends = 0;
                self.text.push_str(&self.blanks);
                self.blanks.clear();
                self.text.push(c);
                self.line = Line::Text;
            }
        }
    }

    /// White space of which only the first character counts, and none at the start of a line.
    fn push_collapsing_blank(&mut self) {
        if self.line != Line::Empty && !self.blanks.ends_with(' ') {
            self.blanks.push(' ');
        }
    }

    /// Ends a line, even an empty one.
    fn break_line(&mut self) {
        self.start_line(match self.line {
            Line::Text => 1,
            // Preformatted text keeps all of its lines.
            _ if self.preformatted > 0 => self.line_ends + 1,
            _ => self.line_ends.max(2),
        });
    }

    /// Ends a line unless it is empty.
    fn end_block(&mut self) {
        let least = if self.line == Line::Blank { 2 } else { 1 };
        self.start_line(self.line_ends.max(least));
    }

    fn end_cell(&mut self) {
        if self.line == Line::Text {
            self.push_collapsing_blank();
        } else {
            self.start_line(self.line_ends);
        }
    }

    fn start_line(&mut self, line_ends: usize) {
        self.line_ends = line_ends;
        self.line = Line::Empty;
        self.blanks.clear();
    }
}

/// Counts an element that starts or ends. An end without a start is ignored.
fn count(open: &mut usize, is_start: bool) {
    *open = if is_start {
        *open + 1
    } else {
        open.saturating_sub(1)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_texts<const N: usize>(cases: [(&str, &str); N]) {
        for (html, text) in cases {
            assert_eq!(html_to_text(html), text, "{html}");
        }
    }

    #[test]
    fn blocks_and_breaks_separate_lines() {
        assert_texts([
            ("", ""),
            ("<p>one</p><p>two</p>", "one\ntwo"),
            ("<p>one<p>two", "one\ntwo"),
            ("<div>burns.</div><div>Room 12</div>", "burns.\nRoom 12"),
            (
                "<div dir=\"ltr\">Hello,<div><br></div><div>it burns.</div><div>Ann</div></div>",
                "Hello,\n\nit burns.\nAnn",
            ),
            (
                "Hello<br class=\"\">printer<div class=\"\">burns</div>",
                "Hello\nprinter\nburns",
            ),
            ("<h1>Title</h1>Text", "Title\nText"),
            (
                "<ul><li>toner</li>\n<li>paper</li></ul>end",
                "toner\npaper\nend",
            ),
            ("<dl><dt>Room<dd>12</dl>end", "Room\n12\nend"),
            ("<blockquote>old</blockquote>new", "old\nnew"),
            ("one<hr>two<HR/>three", "one\ntwo\nthree"),
            (
                "<heading>top</heading> <b>Ga</b>rage <i>x</i>y",
                "top Garage xy",
            ),
            (
                "one<img alt=\"fire\" src=\"cid:x\">two <a href='https://x.example'>here</a>",
                "onetwo here",
            ),
        ]);
    }

    #[test]
    fn at_most_one_empty_line_is_left() {
        assert_texts([
            ("a<br>b<br><br>c<br><br><br>d", "a\nb\n\nc\n\nd"),
            ("<div>a<br></div><div>b</div>", "a\nb"),
            ("<br><p>&nbsp;</p>a<br><br>", "a"),
            ("<p>a</p><p>&nbsp;</p><p>&nbsp;</p><p>b</p>", "a\n\nb"),
            (
                "<p class=MsoNormal>a<o:p></o:p></p><p><o:p>&nbsp;</o:p></p><p>b</p>",
                "a\n\nb",
            ),
        ]);
    }

    #[test]
    fn cells_are_separated_by_a_blank() {
        assert_texts([
            (
                "<table><tr><td>Order</td><td>4711</td></tr><tr><th>Total<td>9</table>end",
                "Order 4711\nTotal 9\nend",
            ),
            (
                "<tr><td>&nbsp;</td><td></td> <td>a</td></tr><tr><td>&nbsp;</td></tr><tr><td>b",
                "a\nb",
            ),
        ]);
    }

    #[test]
    fn white_space_collapses_except_in_preformatted_text() {
        assert_texts([
            (" a\r\n   b\t c<b> d</b> e <br> f ", "a b c d e\nf"),
            ("a&nbsp;&nbsp;b\u{a0}c. &nbsp;d", "a  b c.  d"),
            ("<p>&nbsp;&nbsp;indented</p>", "  indented"),
            (
                "<p>x</p><pre>\r\nline1\r\n\r\n\r\n\tline2  \r\n   <b>indented</b></pre><p>x\ny</p>",
                "x\nline1\n\n\n\tline2\n   indented\nx y",
            ),
            ("<pre>a</pre></pre>b\nc", "a\nb c"),
            (
                "a<textarea>\n1 <b>\n2 &amp;</textarea>b",
                "a\n1 <b>\n2 &\nb",
            ),
            ("a<xmp>1 <b>\n2 &amp;</xmp>b", "a\n1 <b>\n2 &amp;\nb"),
            ("a<plaintext>1 <b>\n2", "a\n1 <b>\n2"),
            ("t\0wo", "two"),
        ]);
    }

    #[test]
    fn text_that_looks_like_markup_remains() {
        assert_texts([
            ("temp < 20 and load > 3", "temp < 20 and load > 3"),
            (
                "<p>I <3 you very much</p><p>end</p>",
                "I <3 you very much\nend",
            ),
            ("<p>value <5</p><p>db1</p>", "value <5\ndb1"),
            ("new ArrayList<>(); <", "new ArrayList<>(); <"),
            (
                "R&D; A&B&amp;C &eacute &#150; ; x;y",
                "R&D; A&B&C é – ; x;y",
            ),
            ("<a title='1 > 2' b=\"</p>\">c</a>", "c"),
        ]);
    }

    #[test]
    fn what_a_browser_hides_is_left_out() {
        assert_texts([
            ("<p>one</p><!------ HEADER ------><p>two</p>", "one\ntwo"),
            (
                "<p>one</p><!-- a ---><p>two</p><!-- b --!>three",
                "one\ntwo\nthree",
            ),
            ("a<!-->b<!--->c<!---->d<!-- > -- > -->e", "abcde"),
            (
                "<p>one</p><!--[if mso]><p>hidden</p><![endif]--><!--[if !mso]><!--><p>two</p>\
                 <!--<![endif]--><![if !mso]><p>three</p><![endif]>",
                "one\ntwo\nthree",
            ),
            ("<?xml version=\"1.0\"?><!DOCTYPE html><p>one", "one"),
            (
                "<html><head><meta charset=utf-8><title>T</title><body><p>one</p></html>",
                "one",
            ),
            ("<head><title>T</title><p>one</p>", "one"),
            ("<title>T</titles>T</title\n>one", "one"),
            (
                "one<script type=\"text/javascript\">if (a<b) x('</p>')</script>\
                 <style type='text/css'>p > a {}</style > two",
                "one two",
            ),
            (
                "one<iframe><p>x</iframe><noembed>x</noembed><noframes>x</noframes>",
                "one",
            ),
            ("<noscript>one</noscript>", "one"),
            (
                "one<template><p>a</p><template>b</template><script>c</script>d<br></template></template>two",
                "onetwo",
            ),
            ("one<!-- two", "one"),
            ("one<b two", "one"),
        ]);
    }

    #[test]
    fn an_element_without_an_end_hides_nothing() {
        assert_texts([
            ("<title>one <p>two</p>", "one\ntwo"),
            ("<p>one</p><style>p {} <p>two</p>", "one\np {}\ntwo"),
            ("<svg><style/></svg><p>one</p><script>", "one"),
        ]);
    }

    /// Elements are counted, not stored, and no recursion is as deep as they are.
    #[test]
    fn any_number_of_elements_may_be_open() {
        for name in ["div", "pre", "b", "td", "title"] {
            let html = format!("{}a", format!("<{name} x>").repeat(100_000));
            assert_eq!(html_to_text(&html), "a", "{name}");
        }
        let closed = format!("{}a", "</pre></template>".repeat(100_000));
        assert_eq!(html_to_text(&closed), "a");
    }
}
