//! The message in the form that the verifiers need: fields, body hashes, signatures.
//!
//! The sender controls all of it, and the cost of verification grows with the number of fields times the
//! number of names in a signature. So both are bounded here, before anything is computed or queried.

use mail_auth::common::crypto::HashAlgorithm;
use mail_auth::common::headers::Header;
use mail_auth::dkim::{Canonicalization, DkimError, Signature};
use mail_auth::{AuthenticatedMessage, Error};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::additions::{FieldCounts, is_header_complete};
use super::alignment::may_be_one_organisation;
use super::dkim::{MAX_SIGNATURES, finding, refusal};
use super::dmarc::policy_domain;
use super::raw_fields::RawFields;
use super::signed_body::SignedBody;
use crate::mail::{AuthenticationDetail, AuthenticationResult, mbox_lines};

/// Maximum number of header lines of a verified message. Of a longer header only the top is read, for its
/// trace.
const MAX_LINES: usize = 10_000;

/// Maximum size in octets of a parsed field. Signatures have a few hundred; parsing a signature takes up to thirty
/// times its size in memory.
pub(super) const MAX_FIELD: usize = 16 * 1024;

/// Octets above which hashing takes long enough to delay other tasks on this thread.
const HASH_IN_PLACE: usize = 128 * 1024;

/// A message with its signatures, sorted.
pub(super) struct Signed<'x> {
    /// With the signatures that can count for the domain in From, and the ARC chain.
    pub(super) message: AuthenticatedMessage<'x>,
    /// The same message with all other signatures, which are verified separately, so that they cannot delay
    /// those that count.
    pub(super) others: Option<AuthenticatedMessage<'x>>,
    /// Findings about signatures that are not verified.
    pub(super) refused: Vec<AuthenticationDetail>,
    pub(super) is_sealed: bool,
    /// Reason why the seals are not verified, if there are any.
    pub(super) chain_refused: Option<&'static str>,
}

impl<'x> Signed<'x> {
    /// Parses `raw`; `from` is the domain in From, in ASCII form.
    pub(super) fn read(raw: &'x [u8], from: Option<&str>) -> Self {
        // An mbox line at the top was added in transit; it is not passed on and was never signed.
        let raw = &raw[mbox_lines(raw)..];
        let first_lines = first_lines(raw);
        let mut message = fields(first_lines.unwrap_or(raw));
        // Our own parse of From, the one that the decision uses, replaces that of the library.
        message.from = from
            .map(|from| format!("@{}", policy_domain(from)))
            .into_iter()
            .collect();
        let mut signed = Self {
            is_sealed: false,
            chain_refused: first_lines.map(|_| "the header is too long"),
            others: None,
            refused: Vec::new(),
            message,
        };
        let others = signed.read_signatures(first_lines.is_some(), from);
        signed.read_chain();
        signed.hash_body(&others);
        if !others.is_empty() {
            signed.others = Some(AuthenticatedMessage {
                headers: signed.message.headers.clone(),
                from: signed.message.from.clone(),
                raw_message: signed.message.raw_message,
                body_offset: signed.message.body_offset,
                body_hashes: signed.message.body_hashes.clone(),
                dkim_headers: others,
                ..AuthenticatedMessage::default()
            });
        }
        signed
    }

    /// Parses the signatures one by one and keeps those to be verified: those that can count for `from`, and,
    /// up to the limit, the others, which it returns.
    fn read_signatures(
        &mut self,
        is_too_long: bool,
        from: Option<&str>,
    ) -> Vec<Header<'x, Signature>> {
        let refusal_of_all = self.refusal_of_all(is_too_long);
        let counts = FieldCounts::of(&self.message);
        let (mut aligned, mut others) = (Vec::new(), Vec::new());
        let mut refused = Findings::default();
        let mut over_limit = Findings::default();
        let too_many = |signature: &Signature| {
            let why = "too many signatures".to_owned();
            finding(Some(signature), AuthenticationResult::Policy, Some(why))
        };
        let all = std::mem::take(&mut self.message.headers);
        for &(name, value) in all
            .iter()
            .filter(|(name, _)| has_name(name, b"dkim-signature"))
        {
            if value.len() > MAX_FIELD {
                let why = "the signature is too long".to_owned();
                refused.push(|| finding(None, AuthenticationResult::Policy, Some(why)));
                continue;
            }
            let signature = match Signature::parse(value) {
                Ok(signature) if signature.l == 0 => signature,
                Ok(_) => {
                    self.record_error(name, value, Error::Dkim(DkimError::SignatureLength));
                    continue;
                }
                Err(error) => {
                    self.record_error(name, value, error);
                    continue;
                }
            };
            let refusal = refusal_of_all.or_else(|| refusal(&signature)).or_else(|| {
                let why = "a further field of a signed name is not signed";
                let exceeds = counts.exceed(&signature.h);
                exceeds.then_some((AuthenticationResult::Policy, why))
            });
            if let Some((result, reason)) = refusal {
                refused.push(|| finding(Some(&signature), result, Some(reason.to_owned())));
                continue;
            }
            let may_align = from.is_some_and(|from| may_be_one_organisation(&signature.d, from));
            let list = if may_align { &mut aligned } else { &mut others };
            if list.len() < MAX_SIGNATURES {
                list.push(Header::new(name, value, remove_unused_tags(signature)));
            } else {
                over_limit.push(|| too_many(&signature));
            }
        }
        self.message.headers = all;
        let room = MAX_SIGNATURES.saturating_sub(aligned.len());
        for header in others.drain(room.min(others.len())..) {
            over_limit.push(|| too_many(&header.header));
        }
        self.refused = refused.0;
        self.refused.append(&mut over_limit.0);
        self.message.dkim_headers = aligned;
        others
    }

    /// The result of all signatures, if the header rules out that one of them counts, with the reason.
    fn refusal_of_all(&self, is_too_long: bool) -> Option<(AuthenticationResult, &'static str)> {
        if is_too_long {
            Some((AuthenticationResult::Policy, "the header is too long"))
        } else if !is_header_complete(&self.message) {
            Some((
                AuthenticationResult::PermError,
                "no empty line ends the header, or a line of it is no field",
            ))
        } else if is_plain(&self.message, "From") {
            None
        } else {
            Some((
                AuthenticationResult::PermError,
                "From is not exactly one well-formed field",
            ))
        }
    }

    /// Records a signature that cannot be parsed.
    fn record_error(&mut self, name: &'x [u8], value: &'x [u8], error: Error) {
        self.message.has_dkim_errors = true;
        if self.message.errors.len() < MAX_SIGNATURES {
            self.message.errors.push(Header::new(name, value, error));
        }
    }

    /// Hashes the body in each variant that a signature requires.
    fn hash_body(&mut self, others: &[Header<'x, Signature>]) {
        let own = &self.message.dkim_headers;
        let signed = own.iter().chain(others).map(|header| &header.header);
        let signed = signed.map(|signature| (signature.cb, signature.a));
        let sealed = self.message.ams_headers.iter().map(|header| &header.header);
        let sealed = sealed.map(|signature| (signature.cb, signature.a));
        let mut variants: Vec<(Canonicalization, HashAlgorithm)> = Vec::new();
        for (canonicalization, algorithm) in signed.chain(sealed) {
            let variant = (canonicalization, HashAlgorithm::from(algorithm));
            if !variants.contains(&variant) {
                variants.push(variant);
            }
        }
        let body = self.message.raw_body();
        let hash = || {
            variants
                .into_iter()
                .map(|(form, algorithm)| {
                    let hash = algorithm.hash(SignedBody { body, form });
                    (form, algorithm, 0, hash.as_ref().to_vec())
                })
                .collect()
        };
        self.message.body_hashes = run_blocking(body.len(), hash);
    }
}

/// At most [`MAX_SIGNATURES`] findings; further ones are not created.
#[derive(Default)]
struct Findings(Vec<AuthenticationDetail>);

impl Findings {
    fn push(&mut self, finding: impl FnOnce() -> AuthenticationDetail) {
        if self.0.len() < MAX_SIGNATURES {
            self.0.push(finding());
        }
    }
}

/// Splits the message into fields and body. Parses nothing yet.
fn fields(raw: &[u8]) -> AuthenticatedMessage<'_> {
    let mut message = AuthenticatedMessage {
        headers: Vec::with_capacity(RawFields::of(raw).count()),
        ..AuthenticatedMessage::default()
    };
    let mut fields = RawFields::of(raw);
    message.headers.extend(fields.by_ref());
    if !message.headers.is_empty() {
        message.raw_message = raw;
        message.body_offset = u32::try_from(fields.body_offset()).unwrap_or(u32::MAX);
    }
    message
}

/// True if the field has this name, in any case.
pub(super) fn has_name(name: &[u8], wanted: &[u8]) -> bool {
    name.trim_ascii().eq_ignore_ascii_case(wanted)
}

/// Removes tags that are not used: the copied fields (`z=`), and the request for a report (`r=`, RFC 6651). For each
/// signature that fails, `mail-auth` would query where to send the report.
fn remove_unused_tags(mut signature: Signature) -> Signature {
    signature.z = Vec::new();
    signature.r = false;
    signature
}

/// Runs work on this many octets without blocking other tasks.
fn run_blocking<T>(octets: usize, work: impl FnOnce() -> T) -> T {
    let has_other_threads = || {
        Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if octets > HASH_IN_PLACE && has_other_threads() {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// The first lines of a header that is too long; None for other headers.
fn first_lines(raw: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    for line in raw.split_inclusive(|&byte| byte == b'\n').take(MAX_LINES) {
        if matches!(line, b"\r\n" | b"\n") {
            return None;
        }
        end += line.len();
    }
    (end < raw.len()).then(|| &raw[..end])
}

/// True if DKIM finds the same single field of this name as we do. Obsolete white space before the colon,
/// which is still parsed, would hide a field from the signature.
pub(super) fn is_plain(message: &AuthenticatedMessage<'_>, field: &str) -> bool {
    let mut fields = message
        .headers
        .iter()
        .map(|(name, _)| name)
        .filter(|name| has_name(name, field.as_bytes()));
    fields.next().is_some_and(|name| name.len() == field.len()) && fields.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::super::arc_fields::MAX_SETS;
    use super::*;

    fn signature(domain: &str, names: &str) -> String {
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s=s; h={names};\r\n\
             \tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
        )
    }

    fn reasons(raw: &str) -> Vec<String> {
        Signed::read(raw.as_bytes(), Some("corp.example"))
            .refused
            .into_iter()
            .filter_map(|finding| finding.reason)
            .collect()
    }

    const FROM: &str = "From: ann@corp.example\r\n";

    #[test]
    fn untrustworthy_signatures_are_not_verified() {
        let sha1 = signature("corp.example", "from").replace("rsa-sha256", "rsa-sha1");
        let many = "a:".repeat(300);
        for (raw, reason) in [
            (
                format!("{}{FROM}\r\n", signature("a.example", "to:subject")),
                "From is not signed",
            ),
            (format!("{sha1}{FROM}\r\n"), "rsa-sha1 is no longer valid"),
            (
                format!(
                    "{}{FROM}\r\n",
                    signature("a.example", &format!("{many}from"))
                ),
                "too many fields are signed",
            ),
            (
                format!(
                    "{}{FROM}\r\n",
                    signature("a.example", &"from:".repeat(MAX_FIELD / 5))
                ),
                "the signature is too long",
            ),
            (
                format!(
                    "{}From : ann@corp.example\r\n\r\n",
                    signature("a.example", "from")
                ),
                "From is not exactly one well-formed field",
            ),
            (
                format!("{}{FROM}{FROM}\r\n", signature("a.example", "from")),
                "From is not exactly one well-formed field",
            ),
            (
                format!(
                    "{}{FROM}{}\r\n",
                    signature("a.example", "from"),
                    "a: b\r\n".repeat(10_000)
                ),
                "the header is too long",
            ),
        ] {
            assert_eq!(reasons(&raw), [reason], "{}", &raw[..200]);
        }
        assert_eq!(
            reasons(&format!("{}{FROM}\r\n", signature("a.example", "From"))),
            [""; 0]
        );
    }

    #[test]
    fn signatures_that_can_count_are_verified_first_up_to_a_limit() {
        let raw = format!(
            "{}{}{FROM}\r\n",
            signature("junk.example", "from").repeat(1000),
            signature("mail.corp.example", "from").repeat(3)
        );
        let signed = Signed::read(raw.as_bytes(), Some("corp.example"));
        assert_eq!(signed.message.dkim_headers.len(), 3);
        let others = signed.others.expect("others");
        assert_eq!(others.dkim_headers.len(), MAX_SIGNATURES - 3);
        assert_eq!(signed.refused.len(), MAX_SIGNATURES);
    }

    #[test]
    fn a_chain_beyond_the_bounds_is_not_kept() {
        let seal = |value: &str| format!("ARC-Seal: i=1; cv=none; a=rsa-sha256; {value}\r\n");
        let whole = seal("d=a.example; s=s; b=AAAA");
        let many = signature("a.example", &"a:".repeat(300)).replace("DKIM", "ARC-Message");
        for (chain, refused) in [
            (whole.clone(), None),
            (whole.repeat(MAX_SETS + 1), Some("the chain is too long")),
            (
                seal(&format!("d={}; s=s; b=AAAA", "a".repeat(MAX_FIELD))),
                Some("a field of the chain is too long"),
            ),
            (
                format!("{whole}{}", many.replace("v=1", "i=1")),
                Some("too many fields are signed"),
            ),
        ] {
            let raw = format!("{chain}{FROM}\r\n");
            let signed = Signed::read(raw.as_bytes(), Some("corp.example"));
            assert_eq!(signed.chain_refused, refused);
            assert!(signed.is_sealed);
            assert_eq!(signed.message.as_headers.is_empty(), refused.is_some());
        }
    }

    #[test]
    fn our_own_parse_of_from_is_used() {
        let raw = "From: Ann <ann@other.example>\r\n\r\n";
        let signed = Signed::read(raw.as_bytes(), Some("corp.example"));
        assert_eq!(signed.message.from, ["@corp.example"]);
        assert!(Signed::read(raw.as_bytes(), None).message.from.is_empty());
        assert!(Signed::read(b"", None).message.headers.is_empty());
    }
}
