//! Comparison with the readers of bodies and fields whose output operators see: whatever they decode is searched. How
//! a part's encoding is chosen is tested in `parts`.

use proptest::prelude::*;
use proptest::sample::select;

use super::decoder::{Coding, Decoder};
use super::joining::Joining;
use crate::mail::encoded_words::{self, EncodedWord};
use crate::mail::transfer_encoding::{TransferEncoding, decode};

const PIECES: [&str; 24] = [
    "AAAA",
    "dm",
    "V",
    "yaWZ5L",
    "=",
    "==",
    "=\r\n",
    "= \t\n",
    "=41",
    "=3d",
    "=4",
    "\r\n",
    "\n",
    "\r\n-",
    "\r\n--b\r\n",
    "!",
    "\0",
    " ",
    "begin 644 a\r\n",
    "#86)C\r\n",
    "$86)C",
    "\"86\n",
    "M86)C\r\n",
    "end\r\n",
];

const PIECES_OF_WORDS: [&str; 26] = [
    "=?utf-8?b?",
    "=?utf-8?b?",
    "=?UTF-8?B?",
    "=?utf8?b?",
    "=?utf-8*en?b?",
    "=?iso-8859-1?b?",
    "=?utf-8?q?",
    "?= =?utf-8?b?",
    "?=\r\n =?utf-8?b?",
    "?==?utf-8?q?",
    "?= =?utf-8?x?",
    "?=",
    "?=",
    "=?",
    "=",
    "==",
    "=41",
    "QUFB",
    "QUF",
    "QUE",
    "dm",
    "V",
    "!",
    " ",
    "\r\n ",
    "x",
];

/// The characters that are the same in all charsets of the words above, apart from blanks and separators.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Returns the body as our reader decodes it, and as it is searched.
fn decode_twice(body: &str, encoding: TransferEncoding, coding: Coding) -> (String, String) {
    let read = decode(body.as_bytes(), encoding);
    let searched = Decoder::new(coding, 0, body.len()).decode(body.as_bytes());
    [read, searched]
        .map(|octets| octets.escape_ascii().to_string())
        .into()
}

proptest! {
    #[test]
    fn what_our_reader_decodes_is_searched(
        pieces in prop::collection::vec(select(PIECES.to_vec()), 0..30),
    ) {
        let body = pieces.concat();
        // The reader ends at padding if other text follows.
        let (read, searched) = decode_twice(&body, TransferEncoding::Base64, Coding::Base64);
        prop_assert!(searched.starts_with(&read), "{:?}: {} {}", body, read, searched);
        let (read, searched) =
            decode_twice(&body, TransferEncoding::QuotedPrintable, Coding::QuotedPrintable);
        prop_assert_eq!(read, searched, "{:?}", body);
        // Without a first line, the reader leaves the body as it is.
        let body = format!("begin 644 a\n{body}");
        let (read, searched) = decode_twice(&body, TransferEncoding::Uuencode, Coding::Uuencode);
        prop_assert_eq!(read, searched, "{:?}", body);
    }

    #[test]
    fn encoded_words_are_searched_as_our_reader_decodes_them(
        pieces in prop::collection::vec(select(PIECES_OF_WORDS.to_vec()), 0..30),
    ) {
        let value = pieces.concat();
        let read = encoded_words::decode(value.as_bytes(), None);
        let decoder = Decoder::new(Coding::Words(Joining::OurReader), 0, value.len());
        let searched = decoder.decode(value.as_bytes());
        // Without a word, nothing is decoded.
        let has_word = EncodedWord::find(value.as_bytes(), 0, value.len()).is_some();
        let searched = if has_word { &searched } else { value.as_bytes() };
        let searched = String::from_utf8_lossy(searched);
        prop_assert_eq!(letters(&read), letters(&searched), "{:?}", value);
    }
}
