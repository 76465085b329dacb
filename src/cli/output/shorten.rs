//! Texts made to fit: cut, wrapped, and short forms of ids and times.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Characters of a shortened id: its random end, which tells ids of the same time apart.
const SHORT_ID: usize = 8;

/// The last characters of an id, which commands accept as well; other texts as they are.
pub fn short_id(text: &str) -> &str {
    let is_id = text.len() == 26 && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
    if is_id {
        &text[text.len() - SHORT_ID..]
    } else {
        text
    }
}

/// `2026-11-28T21:44:07Z` as `11-28 21:44Z`; as `2025-11-28` if it is of another year. Other texts as they are.
pub(super) fn short_time(text: &str, now_year: &str) -> String {
    let is_time = text.len() == 20 && text.is_ascii() && text.ends_with('Z');
    if !is_time {
        return text.to_owned();
    }
    if text.starts_with(now_year) {
        format!("{} {}Z", &text[5..10], &text[11..16])
    } else {
        text[..10].to_owned()
    }
}

/// Cuts a text to a width in columns, with an ellipsis.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        // One column for the ellipsis.
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Breaks a text at spaces; a word that is wider than the line, anywhere.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let wide = word.width();
        if used > 0 && used + 1 + wide > width {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used > 0 && used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c.encode_utf8(&mut [0; 4]));
            used += wide;
        }
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ids_of_other_forms_stay() {
        assert_eq!(short_time("2025-01-02T03:04:05Z", "2026"), "2025-01-02");
        assert_eq!(short_time("-", "2026"), "-");
        assert_eq!(short_id("-"), "-");
        assert_eq!(cut("abc", 2), "a…");
        assert_eq!(cut("漢字", 3), "漢…");
    }
}
