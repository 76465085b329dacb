//! `<path>` of MAIL and RCPT (RFC 5321 4.1.2): its mailbox, and the text after it.
//!
//! mailin's grammar has no empty path, no quoted local part with blanks, no source route and no parameters.
//! So paths are parsed here, and mailin gets a substitute.

/// Splits the path off the start of `text`. Returns the mailbox without angle brackets and without the source
/// route, which is to be ignored (RFC 5321 3.6.1), and the remaining text without surrounding blanks.
#[must_use]
pub fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ').strip_prefix('<')?;
    let end = closing(text)?;
    let (inner, rest) = (&text[..end], &text[end + 1..]);
    if !(rest.is_empty() || rest.starts_with(' ')) {
        return None;
    }
    let mailbox = if inner.starts_with('@') {
        inner.split_once(':')?.1
    } else {
        inner
    };
    let routed = mailbox.len() < inner.len();
    (!routed || !mailbox.is_empty()).then_some((mailbox, rest.trim_matches(' ')))
}

/// Position of the `>` that is not quoted. Blanks and `<` may only occur within quotes.
fn closing(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'>' => return Some(at),
            b' ' | b'\t' | b'<' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_the_text_after_them() {
        for (text, mailbox, rest) in [
            ("<>", "", ""),
            ("<> SIZE=1", "", "SIZE=1"),
            (" <a@b.example>", "a@b.example", ""),
            ("<a@b.example>  X=1  Y", "a@b.example", "X=1  Y"),
            ("<@one.example,@two.example:a@b.example>", "a@b.example", ""),
            (
                "<\"a> b\"@c.example> SIZE=1",
                "\"a> b\"@c.example",
                "SIZE=1",
            ),
            (r#"<"a\" <"@c.example>"#, r#""a\" <"@c.example"#, ""),
            (r"<a\>", r"a\", ""),
            ("<Postmaster>", "Postmaster", ""),
            ("<dörte@bücher.example>", "dörte@bücher.example", ""),
        ] {
            assert_eq!(split(text), Some((mailbox, rest)), "{text}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for text in [
            "",
            "a@b.example",
            "<a@b.example",
            "<a b@c.example>",
            "<a\tb@c.example>",
            "<a@b.example>SIZE=1",
            "<<a@b.example>>",
            "<\"a@b.example>",
            "<@one.example>",
            "<@one.example:>",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
