//! Runs of base64 within text: gateways that rewrite links put the original one into a parameter.
//!
//! A run can begin anywhere, so only the words in base64 within it tell how its characters form groups.

use super::bits::Bits;
use super::decoder::base64_character;
use super::patterns::first_character;
use super::tokens::FoundTokens;

/// A run of base64 characters, with breaks between them.
pub(super) struct Base64Run {
    /// Positions from which to decode the run so that a word in it appears.
    pub starts: [Option<usize>; 4],
    pub end: usize,
}

impl Base64Run {
    /// The first run with a word at or after a position, which must be outside of a run.
    pub fn find(text: &[u8], mut at: usize, found: &FoundTokens) -> Option<Self> {
        if found.in_base64.iter().all(Bits::is_empty) {
            return None;
        }
        while at < text.len() {
            let run = Self::at(text, at, found);
            if run.starts.iter().any(Option::is_some) {
                return Some(run);
            }
            at = run.end.max(at + 1);
        }
        None
    }

    fn at(text: &[u8], from: usize, found: &FoundTokens) -> Self {
        let mut first_places = [None; 4];
        let mut needed = [false; 4];
        let (mut at, mut count) = (from, 0);
        while let Some(place) = base64_character(text, at) {
            if let Some(first) = first_places.get_mut(count) {
                *first = Some(place);
            }
            for (before, words) in found.in_base64.iter().enumerate() {
                // Characters before the first word can be fewer than those of its first group.
                let skipped = first_character(before);
                if words.contains(place) {
                    needed[(count + 4 - skipped) % 4] = true;
                }
            }
            count += 1;
            at = place + 1;
        }
        let mut starts = first_places;
        for (start, is_needed) in starts.iter_mut().zip(needed) {
            *start = start.filter(|_| is_needed);
        }
        Self { starts, end: at }
    }
}
