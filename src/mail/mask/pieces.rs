//! Pieces of a text around its gaps, which are searched without them.
//!
//! Each piece is small once its gaps are out, so that this takes no memory in proportion to the text. A link with gaps
//! is within one piece as a whole. The time is linear: no octet is in more than two pieces.

use std::ops::Range;

use super::gaps::Gaps;

/// Maximum number of octets from a gap to either end of a link, apart from other gaps.
const NEAR: usize = 4096;

/// Number of octets between the gaps of a piece after which another one begins.
const ENOUGH: usize = 64 * 1024;

/// The pieces of a text, in order.
pub(super) struct GapPieces {
    gaps: Gaps,
    /// Position from which the gaps of the next piece are searched.
    at: usize,
}

impl GapPieces {
    pub fn new(gaps: Gaps) -> Self {
        Self { gaps, at: 0 }
    }

    /// The next piece. Links may change between two calls, as that changes no gap.
    pub fn next(&mut self, text: &[u8]) -> Option<Range<usize>> {
        let mut last = self.gaps.next_in_link(text, self.at)?;
        let start = last.start.saturating_sub(NEAR);
        let mut between = 0;
        // End of a gap, and the octets between the gaps before it. The next piece begins after it, and this one ends
        // when a link with this gap in it must have ended.
        let mut restart: Option<(usize, usize)> = None;
        self.at = loop {
            let next = self.gaps.next_in_link(text, last.end);
            let Some(next) = next.filter(|next| next.start - last.end <= 2 * NEAR) else {
                break last.end;
            };
            between += next.start - last.end;
            last = next;
            match restart {
                None if between > ENOUGH => restart = Some((last.end, between)),
                Some((at, before)) if between - before > NEAR => break at,
                _ => {}
            }
        };
        Some(start..text.len().min(last.end + NEAR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(gaps: Gaps, text: &str) -> Vec<Range<usize>> {
        let mut pieces = GapPieces::new(gaps);
        std::iter::from_fn(|| pieces.next(text.as_bytes())).collect()
    }

    #[test]
    fn a_piece_extends_around_gaps_that_are_near_each_other() {
        let far = " ".repeat(3 * NEAR);
        let near = ".".repeat(NEAR);
        let text = format!("{far}a<b>c{near}a<b>c{far}a<b>c");
        let (first, last) = (3 * NEAR + 1, text.len() - 4);
        let second = first + 5 + NEAR;
        assert_eq!(
            pieces(Gaps::Markup, &text),
            [first - NEAR..second + 3 + NEAR, last - NEAR..text.len()]
        );
        assert_eq!(pieces(Gaps::Sections, &text), []);
        assert_eq!(pieces(Gaps::Markup, ""), []);
    }

    /// Octets of tags do not count.
    #[test]
    fn each_link_is_within_a_piece() {
        let tag = format!("<b {}>", "a".repeat(100));
        for (before, count) in [(0, 100_000), (5, 30_000), (100, 2000), (4000, 100)] {
            let gap = format!("a{}{tag}", "b".repeat(before));
            let text = gap.repeat(count);
            let found = pieces(Gaps::Markup, &text);
            assert!(found.len() > 1, "{before}");
            let tags_of_link = NEAR / (before + 1);
            for first in 0..count - tags_of_link {
                let (start, end) = (first * gap.len(), (first + tags_of_link) * gap.len());
                let holds = |piece: &Range<usize>| piece.start <= start && end <= piece.end;
                assert!(found.iter().any(holds), "{before} {first}");
            }
            let length: usize = found.iter().map(|piece| piece.end - piece.start).sum();
            assert!(length <= 2 * text.len(), "{before} {length}");
        }
    }
}
