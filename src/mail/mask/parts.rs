//! Parts of a message with a transfer encoding, found by their field alone.

use memchr::memmem;

use super::decoder::Coding;

/// The body that a `Content-Transfer-Encoding` field applies to.
pub(super) struct EncodedPart {
    /// Start of the first such field.
    pub field: usize,
    pub body: usize,
    pub coding: Coding,
}

/// The parts with an encoding, in order. The last field before an empty line counts.
#[derive(Default)]
pub(super) struct EncodedParts {
    /// Start of the next line.
    line: usize,
}

impl EncodedParts {
    pub fn next(&mut self, text: &[u8]) -> Option<EncodedPart> {
        let mut encoding = None;
        while let Some(rest) = text.get(self.line..).filter(|rest| !rest.is_empty()) {
            let start = self.line;
            self.line = memchr::memchr(b'\n', rest).map_or(text.len(), |end| start + end + 1);
            if !matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]) {
                if let Some(coding) = coding_of_field(rest) {
                    let first = encoding.map_or(start, |(first, _)| first);
                    encoding = Some((first, coding));
                }
            } else if let Some((field, coding)) = encoding {
                return Some(EncodedPart {
                    field,
                    body: self.line,
                    coding,
                });
            }
        }
        None
    }
}

/// The coding that a `Content-Transfer-Encoding` field at the start of `text` names.
fn coding_of_field(text: &[u8]) -> Option<Coding> {
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
            break;
        }
    }
    let value = value[..length].to_ascii_lowercase();
    let mut codings = [
        (b"quoted-printable".as_slice(), Coding::QuotedPrintable),
        (b"base64", Coding::Base64),
        (b"uue", Coding::Uuencode),
    ]
    .into_iter();
    codings.find_map(|(name, coding)| memmem::find(&value, name).map(|_| coding))
}
