//! Links in generated messages, broken anywhere: the text with masked tokens is made along with the text.

use std::collections::BTreeMap;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Text without a link, some of it close to one.
const OTHERS: [&str; 14] = [
    "Please verify it. ",
    "See v",
    "confirm ",
    "VERIFY/short. ",
    "https://other.example/verify/. ",
    "confirm@corp.example ",
    "confirm+newsletter@corp.example ",
    "?u=dmVyaWZ5. ",
    "<p>",
    "&shy;",
    "\u{ad}",
    "\r\n",
    "\r\n> ",
    "\r\n\r\n",
];

const BREAKS: [&str; 20] = [
    "\r\n",
    "\n",
    "=\r\n",
    "\r\n ",
    "\r\n> ",
    " \r\n>> ",
    "=\r\n> ",
    "\u{ad}",
    "\u{200b}",
    "\u{200c}",
    "\u{2060}",
    "\u{feff}",
    "<wbr>",
    "<WBR />",
    "&shy;",
    "&#8203;",
    "&#x00AD;",
    "&NoBreak;",
    "&zwnj;",
    "&ZeroWidthSpace;",
];

/// Text with at most one link, and the same with its token masked.
#[derive(Debug, Clone)]
struct Piece {
    text: String,
    masked: String,
}

impl Piece {
    fn link(before: &str, token: &str, after: &str) -> Self {
        Self {
            text: format!("{before}{token}{after}"),
            masked: format!("{before}{}{after}", "x".repeat(token.len())),
        }
    }

    fn in_gateway(&self) -> Self {
        let url = |text: &str| format!("https://v2.example/?u={}&d=", URL_SAFE_NO_PAD.encode(text));
        Self {
            text: url(&self.text),
            masked: url(&self.masked),
        }
    }

    fn broken(mut self, breaks: &[(Index, &str)]) -> Self {
        let length = self.text.len();
        let breaks = breaks.iter().map(|(at, by)| (at.index(length), *by));
        let breaks: BTreeMap<usize, &str> = breaks.collect();
        for (at, by) in breaks.into_iter().rev() {
            self.text.insert_str(at, by);
            self.masked.insert_str(at, by);
        }
        self
    }
}

/// A token without an `x`, in base32 or as version 0.1 wrote it.
fn token(length: usize, is_old: bool) -> BoxedStrategy<String> {
    if is_old {
        return "0[A-WYZa-wyz0-9_-]{42}".boxed();
    }
    let lower = format!("[a-wyz2-7]{{{length}}}");
    let upper = format!("[A-WYZ2-7]{{{length}}}");
    prop_oneof![
        proptest::string::string_regex(&lower).expect("a pattern"),
        proptest::string::string_regex(&upper).expect("a pattern"),
    ]
    .boxed()
}

fn page(is_old: bool) -> impl Strategy<Value = Piece> {
    let words = select(vec!["verify", "VERIFY", "Verify"]);
    let slashes = select(vec!["/", "%2F", "%252f", "&#x2F;", "&#47;", "&sol;", "_"]);
    (words, slashes, token(52, is_old)).prop_map(|(word, slash, token)| {
        let before = format!("https:{slash}{slash}gate.corp.example{slash}{word}{slash}");
        Piece::link(&before, &token, " ")
    })
}

fn reply(is_old: bool) -> impl Strategy<Value = Piece> {
    let words = select(vec!["confirm", "CONFIRM", "Confirm"]);
    let pluses = select(vec!["+", "%2B", "&#43;"]);
    (words, pluses, token(26, is_old)).prop_map(|(word, plus, token)| {
        Piece::link(&format!("{word}{plus}"), &token, "@corp.example ")
    })
}

/// A link within that of a gateway, or of two.
fn gateway() -> impl Strategy<Value = Piece> {
    let inner = prop_oneof![
        select(vec![
            "https://gate.corp.example/verify/",
            "gate.corp.example%2Fverify%2F",
        ])
        .prop_flat_map(|before| {
            token(52, false).prop_map(move |token| Piece::link(before, &token, "?a=b"))
        }),
        token(26, false).prop_map(|token| Piece::link("confirm+", &token, "@corp.example")),
    ];
    ("[a-c]{0,3}", inner, any::<bool>()).prop_map(|(before, inner, is_twice)| {
        let inner = Piece {
            text: format!("{before}/{}", inner.text),
            masked: format!("{before}/{}", inner.masked),
        };
        let outer = inner.in_gateway();
        if is_twice { outer.in_gateway() } else { outer }
    })
}

fn piece() -> impl Strategy<Value = Piece> {
    let link = prop_oneof![
        page(false),
        page(true),
        reply(false),
        reply(true),
        gateway(),
    ];
    let breaks = prop::collection::vec((any::<Index>(), select(BREAKS.to_vec())), 0..4);
    prop_oneof![
        select(OTHERS.to_vec()).prop_map(|text| Piece::link(text, "", "")),
        (link, breaks).prop_map(|(link, breaks)| link.broken(&breaks)),
    ]
}

/// The message with a text in one of several encodings.
fn message(encoding: &str, text: &str) -> String {
    let printable = part("quoted-printable", &quoted_printable(text));
    match encoding {
        "quoted-printable" => printable,
        "base64" => part("base64", &in_lines(text)),
        "both" => part("base64", &in_lines(&printable)),
        _ => part(encoding, text),
    }
}

proptest! {
    #[test]
    fn exactly_the_tokens_are_masked(
        pieces in prop::collection::vec(piece(), 0..10),
        encoding in select(vec!["8bit", "quoted-printable", "base64", "both"]),
    ) {
        let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        let expected: String = pieces.iter().map(|piece| piece.masked.as_str()).collect();
        let links = pieces.iter().filter(|piece| piece.text != piece.masked).count();
        let raw = message(encoding, &text);
        let masked = mask(raw.as_bytes(), &own());
        let count = masked.as_ref().map_or(0, |masked| masked.links);
        let octets = masked.map_or(raw.into_bytes(), |masked| masked.raw);
        prop_assert_eq!(String::from_utf8_lossy(&octets), message(encoding, &expected));
        prop_assert_eq!(count as usize, links);
    }
}
