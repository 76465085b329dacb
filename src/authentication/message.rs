//! The message as the verifiers need it: its fields, the hashes of its body, its signatures.
//!
//! A stranger chose all of it, and the work of verifying grows with the number of fields times the
//! number of names in a signature. So both are bounded here, before anything is computed or asked.

use mail_auth::AuthenticatedMessage;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Signature;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::alignment::may_be_one_organisation;
use super::dkim::{MOST_SIGNATURES, finding};
use crate::mail::{AuthenticationDetail, AuthenticationResult};

/// Lines of a header that is verified. Of a longer one only the top is read, for its trace.
const MOST_LINES: usize = 10_000;

/// Names of fields in one signature.
const MOST_NAMES: usize = 250;

/// Above this many octets hashing takes long enough to hold up what else runs on this thread.
const HASH_IN_PLACE: usize = 128 * 1024;

/// A message, sorted by what there is to verify.
pub(super) struct Signed<'x> {
    /// With the signatures that can count for the domain in From, and the ARC chain.
    pub(super) message: AuthenticatedMessage<'x>,
    /// The same with all other signatures, which therefore can delay nothing but themselves.
    pub(super) others: Option<AuthenticatedMessage<'x>>,
    /// Signatures that are not verified.
    pub(super) refused: Vec<AuthenticationDetail>,
    pub(super) is_sealed: bool,
    /// Why the seals are not verified, although there are some.
    pub(super) chain_refused: Option<&'static str>,
}

impl<'x> Signed<'x> {
    /// Reads `raw`; `from` is the domain in From, ASCII form.
    pub(super) fn read(raw: &'x [u8], from: Option<&str>) -> Self {
        let top = top(raw);
        let mut message = parse(top.unwrap_or(raw)).unwrap_or_default();
        // The one reading of From that counts is the one that the decision is made by.
        message.from = from.map(|from| format!("@{from}")).into_iter().collect();
        message.errors.truncate(MOST_SIGNATURES);
        let mut signed = Self {
            is_sealed: is_sealed(&message),
            chain_refused: None,
            others: None,
            refused: Vec::new(),
            message,
        };
        if top.is_some() {
            signed.chain_refused = Some("the header is too long");
        } else if has_too_many_names(&signed.message) {
            signed.chain_refused = Some("too many fields are signed");
        }
        signed.refuse(top.is_some());
        signed.part(from);
        signed
    }

    /// Takes out the signatures that cannot be believed, whatever DNS says of them.
    fn refuse(&mut self, is_too_long: bool) {
        let sees_from = sees_from(&self.message);
        let refused = &mut self.refused;
        self.message.dkim_headers.retain(|header| {
            let signature = &header.header;
            let refusal = if is_too_long {
                Some((AuthenticationResult::Policy, "the header is too long"))
            } else if sees_from {
                refusal(signature)
            } else {
                Some((
                    AuthenticationResult::PermError,
                    "From is not one plain field",
                ))
            };
            if let Some((result, reason)) = refusal
                && refused.len() < MOST_SIGNATURES
            {
                refused.push(finding(Some(signature), result, Some(reason.to_owned())));
            }
            refusal.is_none()
        });
    }

    fn part(&mut self, from: Option<&str>) {
        let (mut aligned, mut others): (Vec<_>, Vec<_>) =
            self.message.dkim_headers.drain(..).partition(|header| {
                from.is_some_and(|from| may_be_one_organisation(&header.header.d, from))
            });
        let room = MOST_SIGNATURES.saturating_sub(aligned.len());
        for header in aligned
            .iter()
            .skip(MOST_SIGNATURES)
            .chain(others.iter().skip(room))
            .take(MOST_SIGNATURES)
        {
            let why = "too many signatures".to_owned();
            self.refused.push(finding(
                Some(&header.header),
                AuthenticationResult::Policy,
                Some(why),
            ));
        }
        aligned.truncate(MOST_SIGNATURES);
        others.truncate(room);
        if !others.is_empty() {
            let mut message = self.message.clone();
            message.dkim_headers = others;
            message.errors.clear();
            self.others = Some(message);
        }
        self.message.dkim_headers = aligned;
    }
}

/// The first lines of a header that is too long; none where it is not.
fn top(raw: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    for line in raw.split_inclusive(|&byte| byte == b'\n').take(MOST_LINES) {
        if matches!(line, b"\r\n" | b"\n") {
            return None;
        }
        end += line.len();
    }
    (end < raw.len()).then(|| &raw[..end])
}

/// `mail-auth` hashes the body while it reads.
fn parse(raw: &[u8]) -> Option<AuthenticatedMessage<'_>> {
    let has_other_threads = || {
        Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if raw.len() > HASH_IN_PLACE && has_other_threads() {
        tokio::task::block_in_place(|| AuthenticatedMessage::parse(raw))
    } else {
        AuthenticatedMessage::parse(raw)
    }
}

/// Whether DKIM sees the one From field that the sender was read from. White space in front of the
/// colon, which is obsolete and read nonetheless, would hide a field from the signature.
fn sees_from(message: &AuthenticatedMessage<'_>) -> bool {
    let mut fields = message
        .headers
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.trim_ascii().eq_ignore_ascii_case(b"from"));
    fields.next().is_some_and(|name| name.len() == 4) && fields.next().is_none()
}

/// Rules of DKIM that `mail-auth` leaves to its caller.
fn refusal(signature: &Signature) -> Option<(AuthenticationResult, &'static str)> {
    // RFC 6376 5.4: From is always signed; what leaves it out says nothing about who wrote.
    let is_from = |name: &String| name.trim().eq_ignore_ascii_case("from");
    if !signature.h.iter().any(is_from) {
        return Some((AuthenticationResult::PermError, "From is not signed"));
    }
    // RFC 8301 3.1: such signatures have failed for good.
    if signature.a == Algorithm::RsaSha1 {
        return Some((
            AuthenticationResult::PermError,
            "rsa-sha1 is no longer valid",
        ));
    }
    if signature.h.len() > MOST_NAMES {
        return Some((AuthenticationResult::Policy, "too many fields are signed"));
    }
    None
}

fn is_sealed(message: &AuthenticatedMessage<'_>) -> bool {
    message.has_arc_errors
        || !message.as_headers.is_empty()
        || !message.ams_headers.is_empty()
        || !message.aar_headers.is_empty()
}

fn has_too_many_names(message: &AuthenticatedMessage<'_>) -> bool {
    message
        .ams_headers
        .iter()
        .any(|header| header.header.h.len() > MOST_NAMES)
}

#[cfg(test)]
mod tests {
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
    fn signatures_that_cannot_be_believed_are_not_verified() {
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
                    "{}From : ann@corp.example\r\n\r\n",
                    signature("a.example", "from")
                ),
                "From is not one plain field",
            ),
            (
                format!("{}{FROM}{FROM}\r\n", signature("a.example", "from")),
                "From is not one plain field",
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
    fn what_can_count_is_verified_first_and_the_number_is_bounded() {
        let raw = format!(
            "{}{}{FROM}\r\n",
            signature("junk.example", "from").repeat(1000),
            signature("mail.corp.example", "from").repeat(3)
        );
        let signed = Signed::read(raw.as_bytes(), Some("corp.example"));
        assert_eq!(signed.message.dkim_headers.len(), 3);
        let others = signed.others.expect("others");
        assert_eq!(others.dkim_headers.len(), MOST_SIGNATURES - 3);
        assert_eq!(signed.refused.len(), MOST_SIGNATURES);
    }

    #[test]
    fn the_domain_is_the_one_that_was_decided_by() {
        let raw = "From: Ann <ann@other.example>\r\n\r\n";
        let signed = Signed::read(raw.as_bytes(), Some("corp.example"));
        assert_eq!(signed.message.from, ["@corp.example"]);
        assert!(Signed::read(raw.as_bytes(), None).message.from.is_empty());
        assert!(Signed::read(b"", None).message.headers.is_empty());
    }
}
