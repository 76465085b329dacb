//! Header fields of our mail that lettre has no types for.

use lettre::message::header::{HeaderName, HeaderValue};

use crate::domain::Domain;
use crate::mail::LOOP_FIELD;
use crate::templates::Language;

fn field(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// RFC 3834 5: a program generated the mail, so programs do not reply to it. `kind` is `auto-replied`, or
/// `auto-generated` for mail that answers nothing.
pub(super) fn auto_submitted(kind: &str) -> HeaderValue {
    field("Auto-Submitted", kind)
}

/// [MS-OXCMAIL]: Exchange sends no out-of-office mail, automatic reply, receipt or delivery report. A
/// non-delivery report (NDR) is wanted.
pub(super) fn auto_response_suppress() -> HeaderValue {
    field("X-Auto-Response-Suppress", "OOF, AutoReply, DR, RN, NRN")
}

/// RFC 3282 2: the language of the mail.
pub(super) fn content_language(language: &Language) -> HeaderValue {
    field("Content-Language", language.as_str())
}

/// Our own mark; incoming mail with it is a mail loop.
pub(super) fn loop_mark(hostname: &Domain) -> HeaderValue {
    field(LOOP_FIELD, hostname.as_str())
}
