//! Prepares untrusted text for display. Escaping is the template's task; this module removes characters that
//! are not markup but deceive readers.

/// Maximum characters of a subject on a page.
const MAX_LENGTH: usize = 160;

/// Maximum combining marks on one character; ordinary text has fewer.
const MAX_MARKS: usize = 4;

/// Returns one line: no control characters, nothing that reverses the direction of the following text or
/// hides it, white space as single spaces, at most [`MAX_LENGTH`] characters. Empty if nothing is left.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut marks = 0;
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        if is_hidden(c) || (c == ' ' && (line.is_empty() || line.ends_with(' '))) {
            continue;
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            continue;
        }
        if length == MAX_LENGTH {
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        line.push(c);
        length += 1;
    }
    line.truncate(line.trim_end().len());
    line
}

/// True for controls, the bidirectional controls of UAX 9, and other invisible characters (Unicode's `Cf` and
/// its fillers), except the joiners that emoji and Indic scripts need.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// True for the blocks of combining diacritical marks, which can be stacked without limit.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deceptive_characters_are_removed() {
        for (written, shown) in [
            ("Printer on fire", "Printer on fire"),
            ("  a \t\r\n b  ", "a b"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\u{2066}b\u{2069}c\u{200b}d\u{feff}e", "abcde"),
            ("a\u{0}\u{1b}[31mb\u{7f}\u{9b}c", "a[31mbc"),
            ("a\u{2028}b\u{2029}c", "a b c"),
            (
                "\u{1f468}\u{200d}\u{1f4bb} नमस्ते שלום",
                "\u{1f468}\u{200d}\u{1f4bb} नमस्ते שלום",
            ),
            (
                "z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}y",
                "z\u{301}\u{302}\u{303}\u{304}y",
            ),
            ("\u{3164}\u{202e}", ""),
            ("<b>&amp;", "<b>&amp;"),
        ] {
            assert_eq!(one_line(written), shown, "{written:?}");
        }
        let long = one_line(&"word ".repeat(100));
        assert!(
            long.ends_with("…") && long.chars().count() <= MAX_LENGTH + 1,
            "{long}"
        );
    }

    proptest! {
        #[test]
        fn the_result_is_one_short_line(text in any::<String>()) {
            let line = one_line(&text);
            prop_assert!(line.chars().count() <= MAX_LENGTH + 1);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert_eq!(one_line(&line), line);
        }
    }
}
