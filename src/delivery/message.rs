//! In: the raw message. Out: the delivered message: the added fields, then the original bytes unchanged,
//! without fields of our own names that came from outside.
//!
//! The header section is in memory as a whole. A long body is read from the store while it is sent, a piece
//! at a time, so that a message takes little memory whatever its length.

use std::borrow::Cow;
use std::ops::Range;

use super::stripped_headers::{self, is_empty_line};
use crate::domain::Domain;
use crate::store::{MessageContent, PIECE, StoreError};

/// A message as destinations get it.
#[derive(Debug, Clone)]
pub struct DeliveredMessage {
    added: Vec<u8>,
    /// The beginning of the original message, including the whole header section.
    start: Vec<u8>,
    /// Ranges of `start` that are delivered.
    kept: Vec<Range<usize>>,
    /// Location of the remaining content; `None` if there is none.
    rest: Option<MessageContent>,
}

/// Position of a reader in the message.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadPosition {
    /// Parts in memory that were returned: the added fields, then the kept ranges of the start.
    parts: usize,
    /// Octets of the remaining content.
    rest: u64,
}

impl ReadPosition {
    /// The position of the original message, after the added fields.
    pub(super) const ORIGINAL: Self = Self { parts: 1, rest: 0 };
}

impl DeliveredMessage {
    /// Opens a message. `added` are whole fields, each with its line ending; `start` is the beginning of the
    /// message, already read.
    pub(super) async fn open(
        added: Vec<u8>,
        mut start: Vec<u8>,
        content: MessageContent,
        hostname: &Domain,
    ) -> Result<Self, StoreError> {
        while octets(&start) < content.size() && !has_whole_header(&start) {
            let most = octets(&start).max(PIECE);
            let more = content.read(octets(&start), most).await?;
            start.extend_from_slice(&more);
        }
        let is_whole = octets(&start) == content.size();
        let mut message = Self::in_memory(added, start, hostname);
        message.rest = (!is_whole).then_some(content);
        Ok(message)
    }

    pub(super) fn in_memory(added: Vec<u8>, raw: Vec<u8>, hostname: &Domain) -> Self {
        let kept = stripped_headers::kept_ranges(&raw, hostname);
        Self {
            added,
            start: raw,
            kept,
            rest: None,
        }
    }

    /// A message that panics when it is read: its kept range lies outside its content.
    #[cfg(test)]
    pub(super) fn panicking() -> Self {
        Self {
            added: Vec::new(),
            start: Vec::new(),
            kept: std::iter::once(1..2).collect(),
            rest: None,
        }
    }

    /// Returns the next piece in order; `None` after the last.
    ///
    /// # Errors
    /// The remaining content cannot be read. The pieces returned so far are then not a whole message.
    pub async fn piece(
        &self,
        place: &mut ReadPosition,
    ) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        let part = match place.parts {
            0 => Some(self.added.as_slice()),
            n => self.kept.get(n - 1).map(|range| &self.start[range.clone()]),
        };
        if let Some(part) = part {
            place.parts += 1;
            return Ok(Some(Cow::Borrowed(part)));
        }
        let Some(content) = &self.rest else {
            return Ok(None);
        };
        let piece = content
            .read(octets(&self.start) + place.rest, PIECE)
            .await?;
        place.rest += octets(&piece);
        Ok((!piece.is_empty()).then_some(Cow::Owned(piece)))
    }

    /// Length in octets.
    pub fn size(&self) -> u64 {
        octets(&self.added) + self.original_len()
    }

    /// Length in octets without the added fields.
    pub(super) fn original_len(&self) -> u64 {
        let kept: usize = self.kept.iter().map(ExactSizeIterator::len).sum();
        let rest = self
            .rest
            .as_ref()
            .map_or(0, |content| content.size() - octets(&self.start));
        u64::try_from(kept).unwrap_or(u64::MAX) + rest
    }

    /// The message in one piece, for uses that need all of it.
    pub async fn to_vec(&self) -> Result<Vec<u8>, StoreError> {
        self.read_from(ReadPosition::default()).await
    }

    /// The original message: without the added fields and without fields of our own names from outside.
    pub async fn original(&self) -> Result<Vec<u8>, StoreError> {
        self.read_from(ReadPosition::ORIGINAL).await
    }

    async fn read_from(&self, mut place: ReadPosition) -> Result<Vec<u8>, StoreError> {
        let mut whole = Vec::with_capacity(usize::try_from(self.size()).unwrap_or_default());
        while let Some(piece) = self.piece(&mut place).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    pub async fn is_ascii(&self) -> Result<bool, StoreError> {
        let mut place = ReadPosition::default();
        while let Some(piece) = self.piece(&mut place).await? {
            if !piece.is_ascii() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True if the header section is not ASCII only, which requires SMTPUTF8 (RFC 6532 3).
    pub fn has_utf8_header(&self) -> bool {
        self.start
            .split_inclusive(|&b| b == b'\n')
            .take_while(|line| !is_empty_line(line))
            .any(|line| !line.is_ascii())
    }
}

fn has_whole_header(start: &[u8]) -> bool {
    start.split_inclusive(|&b| b == b'\n').any(is_empty_line)
}

fn octets(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Timestamp;
    use crate::store::{Arrival, Store};
    use crate::verification::tests::sample;

    fn message(raw: &[u8]) -> DeliveredMessage {
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        DeliveredMessage::in_memory(b"Received: here\r\n".to_vec(), raw.to_vec(), &hostname)
    }

    fn whole(message: &DeliveredMessage) -> Vec<u8> {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(message.to_vec())
            .expect("in memory")
    }

    #[test]
    fn the_line_of_an_mbox_is_not_passed_on() {
        for on_top in [
            "From ann@corp.example Mon Nov 23 10:00:00 2026\r\n",
            ">From x\r\n",
            "From x\nFrom y\n",
            "",
        ] {
            let raw = format!("{on_top}From: a@b.example\r\n\r\nFrom here on\r\n");
            let expected = b"Received: here\r\nFrom: a@b.example\r\n\r\nFrom here on\r\n";
            let message = message(raw.as_bytes());
            assert_eq!(message.size(), octets(expected), "{on_top}");
            assert_eq!(whole(&message), expected, "{on_top}");
        }
    }

    proptest! {
        #[test]
        fn the_original_follows_the_added_fields(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut raw = b"From: a@b.example\r\nX-Vestibule-Account: internal\r\n\r\n".to_vec();
            raw.extend_from_slice(&body);
            let mut expected = b"Received: here\r\nFrom: a@b.example\r\n\r\n".to_vec();
            expected.extend_from_slice(&body);
            let message = message(&raw);
            prop_assert_eq!(message.size(), octets(&expected));
            prop_assert_eq!(whole(&message), expected);
        }
    }

    #[test]
    fn only_the_header_section_makes_a_header_more_than_ascii() {
        for (raw, is_more) in [
            ("Subject: caf\u{e9}\r\n\r\nx\r\n", true),
            ("Subject: x\r\n\r\ncaf\u{e9}\r\n", false),
            ("Subject: x\r\n", false),
        ] {
            assert_eq!(message(raw.as_bytes()).has_utf8_header(), is_more, "{raw}");
        }
    }

    /// A header can be longer than the beginning that is read together with the claim.
    #[tokio::test]
    async fn fields_of_our_names_are_left_out_of_a_header_of_several_pieces() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        let config = sample::config("");
        let seeded = store.seed_access(config.access.clone(), Timestamp::now());
        seeded.await.expect("settings");
        let forged = "X-Vestibule-Account: internal\r\n";
        let (long, body) = ("A: b\r\n".repeat(30_000), "x".repeat(200_000));
        let raw = format!("From: ann@corp.example\r\n{long}{forged}\r\n{body}");
        let arrival = Arrival {
            raw: raw.clone().into_bytes(),
            ..sample::arrival(&config)
        };
        let entries = store.accept(arrival).await.expect("accepted");
        let content = store.content(entries[0].ledger, PIECE).await.expect("read");
        let (content, start) = content.expect("kept");
        assert_eq!(octets(&start), PIECE);
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        let opened = DeliveredMessage::open(Vec::new(), start, content, &hostname).await;
        let opened = opened.expect("read");
        let expected = raw.replace(forged, "").into_bytes();
        assert_eq!(opened.size(), octets(&expected));
        let found = opened.to_vec().await.expect("read");
        assert!(found == expected, "{} octets", found.len());
    }
}
