//! A bound on the attributes of tags, for parsers of HTML that take quadratic time in their number.
//!
//! Takes HTML; finds out whether a parser may see more attributes than a maximum. Where a comment or an element such as
//! `style` ends depends on the elements around it, so every `<` before a name is taken for the start of a tag.

use memchr::memchr_iter;

use super::html_tokens::{attribute_end, ends_name, find_byte, is_blank};

/// Maximum mean number of reads of an octet: overlapping tags are each read up to their end.
const MAX_READS: usize = 32;

/// True if a tag may have more than `most` attributes, even one without an end, or if the tags overlap too much to read
/// all of them.
pub(super) fn has_more_attributes(html: &str, most: usize) -> bool {
    let bytes = html.as_bytes();
    let mut room = MAX_READS * bytes.len();
    // A parser adds the attributes of all these tags to one element.
    let mut of_roots = 0;
    for start in memchr_iter(b'<', bytes) {
        let name = start + 1 + usize::from(bytes.get(start + 1) == Some(&b'/'));
        if !bytes.get(name).is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let name_end = find_byte(bytes, name, ends_name);
        let (count, end) = count_attributes(bytes, name_end, most);
        let name = &bytes[name..name_end];
        if name.eq_ignore_ascii_case(b"html") || name.eq_ignore_ascii_case(b"body") {
            of_roots += count;
        }
        if count.max(of_roots) > most || end - start > room {
            return true;
        }
        room -= end - start;
    }
    false
}

/// Counts the attributes of a tag whose name ends at `at`, up to one more than `most`. Also returns the place at which
/// the count ends.
fn count_attributes(bytes: &[u8], mut at: usize, most: usize) -> (usize, usize) {
    let mut count = 0;
    loop {
        at = find_byte(bytes, at, |byte| !is_blank(byte) && byte != b'/');
        if count > most || matches!(bytes.get(at), None | Some(b'>')) {
            return (count, at);
        }
        count += 1;
        at = attribute_end(bytes, at).unwrap_or(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use html5ever::tendril::StrTendril;
    use html5ever::tokenizer::{
        BufferQueue, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_attributes_of_every_possible_tag_are_counted() {
        for (html, most) in [
            ("", 0),
            ("<p>one</p>", 0),
            ("a < b c d <3 e f", 0),
            ("<p a b=1 c>", 3),
            ("<p a=1 b='> <' c=\">\">d e", 3),
            ("<p a/b//c=\"x\"d>", 4),
            ("<p a b><p c>", 2),
            ("</p a b>", 2),
            ("<p a b", 2),
            ("<p a b='c d", 2),
            ("<!-- <p a b> -->", 2),
            ("<svg><style><p a b c></style>", 3),
            ("<html a><HTML b=1><body c>", 3),
        ] {
            assert!(!has_more_attributes(html, most), "{html}");
            assert!(most == 0 || has_more_attributes(html, most - 1), "{html}");
        }
    }

    #[test]
    fn overlapping_tags_take_linear_time() {
        let begin = std::time::Instant::now();
        for unit in [
            "<a",
            "<a ",
            "</a",
            "<a b=c ",
            "<a b='",
            "<a/b='\">",
            "<a 'b",
        ] {
            let _ = has_more_attributes(&unit.repeat(300_000), 200);
        }
        // Quadratic work would take hours.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
        let names = "<a".repeat(1000);
        assert!(has_more_attributes(&names, 200));
    }

    /// The largest number of attributes of a tag.
    #[derive(Default)]
    struct Most(Cell<usize>);

    impl TokenSink for Most {
        type Handle = ();

        fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
            if let Token::TagToken(tag) = token {
                self.0.set(self.0.get().max(tag.attrs.len()));
            }
            TokenSinkResult::Continue
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn no_attribute_that_html5ever_finds_is_missed(html in "(<[a-c/]|[a-d<>/=\"' \n!-]){0,40}") {
            let input = BufferQueue::default();
            input.push_back(StrTendril::from(html.as_str()));
            let tokenizer = Tokenizer::new(Most::default(), TokenizerOpts::default());
            let _ = tokenizer.feed(&input);
            tokenizer.end();
            let found = tokenizer.sink.0.get();
            prop_assert!(found == 0 || has_more_attributes(&html, found - 1), "{}", found);
        }
    }
}
