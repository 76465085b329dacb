//! `<path>` of MAIL and RCPT (RFC 5321 4.1.2): the mailbox in it, and what follows.
//!
//! mailin's grammar knows neither an empty path, nor a quoted local part with blanks, nor a source
//! route, nor parameters; so paths are read here, and mailin is shown a stand-in.

/// Takes the path off the front of `text`. The mailbox comes without angle brackets and source
/// route, which is to be ignored (RFC 5321 3.6.1); the rest comes without blanks around it.
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

/// Where the `>` is that is not within quotes. Blanks and `<` may stand within quotes only.
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
    fn paths_and_what_follows() {
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
            ("<Postmaster>", "Postmaster", ""),
            ("<dörte@bücher.example>", "dörte@bücher.example", ""),
        ] {
            assert_eq!(split(text), Some((mailbox, rest)), "{text}");
        }
    }

    #[test]
    fn what_is_no_path() {
        for text in [
            "",
            "a@b.example",
            "<a@b.example",
            "<a b@c.example>",
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
