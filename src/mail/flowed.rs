//! Plain text whose lines flow (`format=flowed`, RFC 3676), as Thunderbird and Apple Mail write it.
//!
//! Takes decoded text; returns it with each paragraph on one line, as mail programs show it. A link that a soft line
//! break divides is whole again if the author's program asks to delete the space there (`delsp=yes`).

/// Joins the lines of paragraphs. Each quotation keeps its marks, once for a paragraph.
pub(super) fn join_paragraphs(text: &str, deletes_space: bool) -> String {
    let mut joined = String::with_capacity(text.len());
    // Quote depth of the paragraph that continues in the next line.
    let mut continued = None;
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let content = line.trim_start_matches('>');
        let depth = line.len() - content.len();
        // RFC 3676 4.4: a space is put before a line that begins with one, with `>` or with `From `.
        let content = content.strip_prefix(' ').unwrap_or(content);
        // RFC 3676 4.3: the line before a signature is not part of a paragraph.
        let is_separator = content == "-- ";
        // For people, an empty line ends a paragraph, even after or with spaces by mistake.
        let is_empty = content.trim_start_matches(' ').is_empty();
        // Some programs write `> > ` for a deeper quotation, although RFC 3676 4.5 allows only `>> `.
        let is_deeper = depth > 0 && content.starts_with('>');
        let stands_alone = is_separator || is_empty || is_deeper;
        if continued != Some(depth) || stands_alone {
            if number > 0 {
                joined.push('\n');
            }
            joined.extend(std::iter::repeat_n('>', depth));
            if depth > 0 && !content.is_empty() {
                joined.push(' ');
            }
        }
        let before_break = content.strip_suffix(' ').filter(|_| !stands_alone);
        joined.push_str(before_break.filter(|_| deletes_space).unwrap_or(content));
        continued = before_break.map(|_| depth);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_paragraph_are_joined() {
        for (text, expected) in [
            ("one \r\ntwo\r\nthree\r\n", "one two\nthree\n"),
            ("one\n\ntwo \n\nthree", "one\n\ntwo \n\nthree"),
            (
                " From here \nto there\n > no quote\n  a b",
                "From here to there\n> no quote\n a b",
            ),
            (
                ">> one \r\n>> two\r\n> three \r\nfour",
                ">> one two\n> three \nfour",
            ),
            (">one \n> two\n>\n", "> one two\n>\n"),
            ("one \n  \ntwo", "one \n \ntwo"),
            (
                "> one \n> > two \n> > three \n> four",
                "> one \n> > two \n> > three \n> four",
            ),
            ("one \n-- \nAnn \nLee", "one \n-- \nAnn Lee"),
            ("> -- \n> Ann", "> -- \n> Ann"),
            ("", ""),
            (" ", ""),
        ] {
            assert_eq!(join_paragraphs(text, false), expected, "{text:?}");
        }
        for (text, expected) in [
            ("https://a.example/b \nc  \nd", "https://a.example/bc d"),
            ("プリ \nンタ\n", "プリンタ\n"),
            ("-- \nAnn", "-- \nAnn"),
        ] {
            assert_eq!(join_paragraphs(text, true), expected, "{text:?}");
        }
    }
}
