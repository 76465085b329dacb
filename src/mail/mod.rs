//! Mail parsing: takes a raw message, returns [`Facts`].
//!
//! Parsing never fails and never panics: an unreadable value is a fact about the message. Nothing here knows
//! accounts or settings, reads a clock or opens a connection.

mod authentication;
mod authentication_facts;
mod authentication_results;
mod automatic;
mod body_charset;
mod bounce_severity;
mod bulk;
mod character_references;
mod charset;
mod charset_label;
mod codepages;
mod content;
mod content_parts;
mod decoded_first;
mod encoded_words;
mod facts;
mod fields;
mod fingerprint;
mod first_line_of_reply;
mod flowed;
mod header;
mod header_view;
mod html_attributes;
mod html_text;
mod html_tokens;
mod html_tree;
mod iso2022;
mod languages;
mod lenient_from;
mod lenient_lines;
mod lenient_structure;
mod lenient_words;
mod list_author;
mod lookalike;
mod mailbox;
mod mask;
mod media;
mod mime;
mod named_address;
mod nonstandard_report;
mod other_addresses;
mod out_of_office;
mod parameters;
mod program_names;
mod rare_charsets;
mod rare_forms;
mod raw_characters;
mod recorded_envelope;
mod report;
mod sender;
mod spam;
mod status_code;
mod structure;
mod text;
mod tokens;
mod trace;
mod transfer_encoding;

pub(crate) use authentication::dmarc_pass_in_arc_results;
pub use authentication_facts::{
    Authentication, AuthenticationDetail, AuthenticationFailure, AuthenticationFault,
    AuthenticationMethod, AuthenticationOutcome, AuthenticationResult, DmarcPolicy,
};
pub use bounce_severity::{BounceSeverity, is_unknown_recipient};
pub use charset::Label;
pub use content::{
    Attachment, AttachmentSummary, Content, HtmlView, find_attachment, html, list_attachments,
    readable,
};
pub use content_parts::decode_text;
pub use facts::{
    Evidence, Facts, Fingerprint, ListAuthor, Report, ReportKind, ReportedRecipient, Sender,
    SenderFault,
};
pub use fields::MessageFields;
pub use first_line_of_reply::first_line;
pub use header::mbox_lines;
pub use header_view::{HeaderLine, HeaderView, display_name};
pub use lenient_lines::{ends_field, has_plain_lines, is_matched, line_end_length, match_octet};
pub use mask::{Masked, OwnLinks, mask};
pub use media::Media;
pub use named_address::NamedAddress;
pub use program_names::is_program;
pub use recorded_envelope::{RecordedEnvelope, read_recorded};
pub use spam::SpamMark;
pub use structure::{MAX_DEPTH, MAX_PARTS, Part, Structure};
pub use transfer_encoding::TransferEncoding;

use std::sync::Arc;

use crate::domain::{Domain, Envelope};
use body_charset::body_charset;
use header::Header;
use report::Reported;

/// Properties of this installation, which distinguish its own marks from others'.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Our `hostname`: the value of our loop header.
    pub hostname: Domain,
    /// The pinned `authserv-id` (RFC 8601 2.5) whose `Authentication-Results` count.
    pub authserv_id: Option<String>,
    /// Fields by which our own MTA marks spam.
    pub spam: Arc<[SpamMark]>,
}

/// Field that marks messages that passed this installation, with our hostname as its value.
pub const LOOP_FIELD: &str = "X-Vestibule-Loop";

/// The first of the mbox lines at the top.
fn mbox_line(raw: &[u8]) -> Option<Evidence> {
    let lines = &raw[..mbox_lines(raw)];
    let first = lines.split_inclusive(|&byte| byte == b'\n').next()?;
    Some(Evidence::new("mbox line", first))
}

/// Parses a message.
#[must_use]
pub fn read(raw: &[u8], envelope: &Envelope, own: &Identity) -> Facts {
    let header = Header::of(raw);
    let from = sender::sender(&header);
    let (from_domain, is_lenient) = (from.domain(), from.is_lenient());
    let list_author::Resolved {
        sender,
        author_behind_list,
        from_is_list,
    } = list_author::resolve(&header, envelope, from);
    let subject = header
        .first("Subject")
        .and_then(|field| text::decode_field(&field, || body_charset(&header.section)));
    let (report, other_report) = match report::report(&header, envelope, &sender) {
        Reported::Nothing => (None, None),
        Reported::Delivery(report) => (Some(report), None),
        Reported::Other(evidence) => (None, Some(evidence)),
    };
    let mut senders = vec![&sender];
    senders.extend(author_behind_list.as_ref().map(|behind| &behind.author));
    let message_id = header.first("Message-ID").and_then(text::message_id);
    Facts {
        date: match message_id {
            Some(_) => None,
            None => header
                .section
                .first("Date")
                .and_then(text::decode_unstructured),
        },
        automatic: automatic::automatic(&header, envelope, &senders, subject.as_deref())
            .or(other_report),
        presumed_automatic: automatic::presume(&header, &senders, subject.as_deref()),
        report,
        bulk: bulk::bulk(&header, envelope),
        list_ids: bulk::list_ids(&header),
        languages: languages::languages(&header.section),
        from_is_list,
        subject,
        message_id,
        own_mark: own_mark(&header, own),
        received_fields: received_fields(&header),
        spam: spam::mark(&header.section, &own.spam),
        authentication: authentication::authentication(
            &header,
            own.authserv_id.as_deref(),
            from_domain.as_ref(),
            is_lenient,
        ),
        fingerprint: fingerprint::fingerprint(&header.section),
        size: raw.len() as u64,
        masked_links: 0,
        mbox_line: mbox_line(raw),
        sender,
        author_behind_list,
    }
}

/// Values of the Received fields, topmost first.
pub fn received_values(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let fields = header::Section::of(raw).fields();
    let received = fields.filter(|field| field.is("Received"));
    received.map(|field| field.value)
}

/// Our own loop mark; that of another installation does not count.
fn own_mark(header: &Header, own: &Identity) -> Option<Evidence> {
    header
        .all(LOOP_FIELD)
        .find(|field| field.text().eq_ignore_ascii_case(own.hostname.as_str()))
        .map(Evidence::of)
}

fn received_fields(header: &Header) -> u32 {
    u32::try_from(header.all("Received").count()).unwrap_or(u32::MAX)
}
