//! Runs of base64 within text: gateways that rewrite links put the original one into a parameter.
//!
//! A run can begin anywhere, so only the words in base64 within it tell how its characters form groups.

use super::bits::Bits;
use super::breaks::base64_character;
use super::patterns::first_character;
use super::token_search::FoundTokens;
use crate::mail::transfer_encoding::sextet;

/// A run of base64 characters, with breaks between them.
pub(super) struct Base64Run {
    /// Positions from which to decode the run so that a word in it appears.
    pub starts: [Option<usize>; 4],
    pub end: usize,
}

impl Base64Run {
    /// The first run with a word that begins at or after a position, which must not be within a run.
    pub fn find(text: &[u8], mut at: usize, found: &FoundTokens) -> Option<Self> {
        if found.in_base64.iter().all(Bits::is_empty) {
            return None;
        }
        loop {
            // No run begins with a break: to skip many of them from each one would take quadratic time.
            let is_base64 = |octet: &u8| sextet(*octet).is_some();
            at += text.get(at..)?.iter().position(is_base64)?;
            let run = Self::at(text, at, found);
            if run.starts.iter().any(Option::is_some) {
                return Some(run);
            }
            at = run.end;
        }
    }

    /// The run that begins here.
    fn at(text: &[u8], from: usize, found: &FoundTokens) -> Self {
        let mut first_places = [None; 4];
        let mut needed = [false; 4];
        let (mut at, mut count) = (from, 0);
        while let Some(place) = base64_character(text, at) {
            if let Some(first) = first_places.get_mut(count) {
                *first = Some(place);
            }
            for (before, words) in found.in_base64.iter().enumerate() {
                if words.contains(place) {
                    needed[(count + 4 - first_character(before)) % 4] = true;
                }
            }
            count += 1;
            at = place + 1;
        }
        let starts = std::array::from_fn(|number| first_places[number].filter(|_| needed[number]));
        Self { starts, end: at }
    }
}
