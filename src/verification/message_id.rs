//! The only text of a sender in a verification mail: the Message-ID that it answers.

/// RFC 5322 2.1.1 allows a line of 998; real programs write much shorter ids.
const MAX_LENGTH: usize = 250;

/// `<id>` for `In-Reply-To` and `References`, or `None` if the id is not exactly the `id-left "@" id-right`
/// of RFC 5322 3.6.4 in its strict form: two dot-atoms, or a dot-atom and a domain literal. Spaces, quotes,
/// line ends and non-ASCII characters are refused.
#[must_use]
pub(super) fn reference(id: &str) -> Option<String> {
    let (left, right) = id.split_once('@')?;
    let literal = |text: &str| {
        text.strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .is_some_and(|inner| {
                inner
                    .bytes()
                    .all(|b| b.is_ascii_hexdigit() || b".:".contains(&b))
            })
    };
    (id.len() <= MAX_LENGTH && is_dot_atom(left) && (is_dot_atom(right) || literal(right)))
        .then(|| format!("<{id}>"))
}

/// RFC 5322 3.2.3 `dot-atom-text`, ASCII only, without the characters of paths, queries and markup. No mail
/// program needs them for an id that is only compared.
fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"$%+-=_~".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_strict_form_passes() {
        for id in [
            "CAF=x_1+2@mail.corp.example",
            "1.2@[192.0.2.1]",
            "a@[2001:db8::1]",
            "x@localhost",
        ] {
            assert_eq!(reference(id), Some(format!("<{id}>")));
        }
        let long = format!("{}@x.example", "a".repeat(250));
        for id in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b@c",
            "a@b>",
            "<a@b",
            "a@b\r\nBcc: x@y.example",
            "a@b\n",
            "a\u{0}@b",
            "\"a b\"@c",
            "a..b@c",
            "a@b.",
            "é@b",
            "a@é",
            "a@[x y]",
            "Your-account-is-locked.see.evil.example/login@x",
            "a?b@c",
            "a@b/c",
            &long,
        ] {
            assert_eq!(reference(id), None, "{id:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_is_one_printable_word(id in ".{0,80}|[a-z.@<>\r\n: ]{1,20}") {
            if let Some(reference) = reference(&id) {
                prop_assert!(reference.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(reference.matches(['<', '>', '@']).count(), 3);
            }
        }
    }
}
