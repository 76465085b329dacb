//! Parts of a message with a transfer encoding, found by their field alone.

use memchr::memmem;

use super::decoder::Coding;

/// The body that a `Content-Transfer-Encoding` field applies to.
pub(super) struct EncodedPart {
    /// Start of the first such field.
    pub field: usize,
    pub body: usize,
    pub codings: Vec<Coding>,
}

/// The parts with an encoding, in order. All encodings that fields before an empty line name count, because readers
/// choose different ones.
#[derive(Default)]
pub(super) struct EncodedParts {
    /// Start of the next line.
    line: usize,
}

impl EncodedParts {
    pub fn next(&mut self, text: &[u8]) -> Option<EncodedPart> {
        let mut first = None;
        let mut codings = Vec::new();
        while let Some(rest) = text.get(self.line..).filter(|rest| !rest.is_empty()) {
            let start = self.line;
            self.line = memchr::memchr(b'\n', rest).map_or(text.len(), |end| start + end + 1);
            if !matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]) {
                for coding in codings_of_field(rest) {
                    first.get_or_insert(start);
                    if !codings.contains(&coding) {
                        codings.push(coding);
                    }
                }
            } else if let Some(field) = first {
                return Some(EncodedPart {
                    field,
                    body: self.line,
                    codings,
                });
            }
        }
        None
    }
}

/// The codings that a `Content-Transfer-Encoding` field at the start of `text` names.
fn codings_of_field(text: &[u8]) -> Vec<Coding> {
    const CODINGS: [(&[u8], Coding); 3] = [
        (b"quoted-printable", Coding::QuotedPrintable),
        (b"base64", Coding::Base64),
        (b"uue", Coding::Uuencode),
    ];
    let Some(value) = value_of_field(text).map(<[u8]>::to_ascii_lowercase) else {
        return Vec::new();
    };
    CODINGS
        .into_iter()
        .filter(|(name, _)| memmem::find(&value, name).is_some())
        .map(|(_, coding)| coding)
        .collect()
}

/// The beginning of the value of a `Content-Transfer-Encoding` field at the start of `text`.
fn value_of_field(text: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"content-transfer-encoding";
    /// A field that names an encoding is one short line.
    const MAX_FIELD: usize = 400;
    let (name, value) = text.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let value = &value[..value.len().min(MAX_FIELD)];
    let mut length = 0;
    loop {
        length += memchr::memchr(b'\n', &value[length..]).map_or(value.len() - length, |at| at + 1);
        if !matches!(value.get(length), Some(b' ' | b'\t')) {
            return Some(&value[..length]);
        }
    }
}
