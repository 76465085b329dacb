//! Results of our own MTA's sender authentication (RFC 8601).
//!
//! Takes the header, the pinned `authserv-id` and the domain in From; returns the results of the
//! `Authentication-Results` fields that our MTA added: those that bear its name and are above its own
//! `Received`. They count together or not at all. A field that does not parse or has white space before its colon,
//! a second DMARC result, or a DMARC result for a domain other than the sender's is a fault, and then nothing else
//! counts.

use super::authentication_results::{Malformed, MethodResult, ResultsField};
use super::facts::Evidence;
use super::header::{Field, Header};
use super::trace::is_from_this_machine;
use super::{Authentication, AuthenticationFault, AuthenticationResult, DmarcPolicy};
use crate::domain::{Domain, public_suffix};

mod policy;

const FIELD: &str = "Authentication-Results";

/// Reads the fields of `authserv_id` above our MTA's own Received field. Without such a field, a copy further
/// down is returned as evidence of an ignored field, without a result. `sender` is the domain in From; our MTA may
/// not have found it, or its record, if `is_lenient` ([`Sender::Usable`](super::Sender::Usable)).
pub(super) fn authentication(
    header: &Header,
    authserv_id: Option<&str>,
    sender: Option<&Domain>,
    is_lenient: bool,
) -> Authentication {
    let mut results = Results {
        sender,
        found: Authentication::default(),
        has_dmarc: false,
        has_exact_pass: false,
    };
    let Some(own) = authserv_id else {
        return results.found;
    };
    let mut inside = true;
    for field in header.fields() {
        if field.is("Received") {
            inside = inside && is_from_this_machine(&field);
        } else if field.is(FIELD) {
            if inside {
                results.take(&field, own);
                if results.found.fault.is_some() {
                    break;
                }
            } else if results.found == Authentication::default() && is_of(&field.text(), own) {
                let text = format!(
                    "ignored, because it is below our MTA's Received field: {}",
                    field.text()
                );
                results.found.evidence = Some(Evidence::new(FIELD, text.as_bytes()));
            }
        }
    }
    results.finish(is_lenient)
}

fn is_of(value: &str, own: &str) -> bool {
    ResultsField::new(value).is_ok_and(|field| field.authserv_id().eq_ignore_ascii_case(own))
}

/// Combined results of the fields so far.
struct Results<'a> {
    sender: Option<&'a Domain>,
    found: Authentication,
    has_dmarc: bool,
    /// SPF or DKIM passed for exactly the sender's domain.
    has_exact_pass: bool,
}

impl Results<'_> {
    fn take(&mut self, field: &Field, own: &str) {
        let text = field.text();
        let taken = match ResultsField::new(&text) {
            Ok(parsed) if !parsed.authserv_id().eq_ignore_ascii_case(own) => return,
            Ok(parsed) if parsed.is_well_formed() && !field.is_obsolete => {
                self.take_results(parsed)
            }
            Ok(_) => Err(AuthenticationFault::Unreadable),
            // It can only be our MTA's field if it contains our MTA's name.
            Err(Malformed) if contains(&text, own) => Err(AuthenticationFault::Unreadable),
            Err(Malformed) => return,
        };
        match taken {
            Ok(false) if self.found.evidence.is_some() => {}
            Ok(_) => self.found.evidence = Some(Evidence::of(*field)),
            Err(fault) => {
                self.found = Authentication {
                    fault: Some(fault),
                    evidence: Some(Evidence::of(*field)),
                    ..Authentication::default()
                }
            }
        }
    }

    /// Adds the results of a field. Returns true if one of them is about DMARC.
    fn take_results(&mut self, field: ResultsField) -> Result<bool, AuthenticationFault> {
        let mut has_dmarc = false;
        for result in field.flatten() {
            let value = value_of(result.result);
            match result.method.to_ascii_lowercase().as_str() {
                "dmarc" => {
                    if self.has_dmarc {
                        return Err(AuthenticationFault::SeveralResults);
                    }
                    (self.has_dmarc, has_dmarc) = (true, true);
                    self.take_dmarc(&result)?;
                }
                "spf" => {
                    if self.found.spf.is_none() {
                        self.found.spf = value;
                    }
                    self.note_aligned(value, result.only("smtp", "mailfrom"));
                }
                "dkim" => {
                    // One valid signature is enough.
                    if self.found.dkim.is_none() || value == Some(AuthenticationResult::Pass) {
                        self.found.dkim = value;
                    }
                    let signer = result.only("header", "d");
                    self.note_aligned(value, signer.or_else(|| result.only("header", "i")));
                }
                "arc" => self.found.arc = self.found.arc.or(value),
                _ => {}
            }
        }
        Ok(has_dmarc)
    }

    fn take_dmarc(&mut self, result: &MethodResult) -> Result<(), AuthenticationFault> {
        use AuthenticationResult as R;
        let names_domain = result.all("header", "from").next().is_some();
        let domain = result
            .only("header", "from")
            .and_then(|domain| Domain::parse(domain).ok());
        // Exim did not check the message: its client logged in, or Exim found no domain in From. Only in the first
        // case does the result name the domain, and a sender can cause the second.
        if result.result.eq_ignore_ascii_case("skipped") {
            let is_about_sender = self
                .sender
                .is_none_or(|sender| domain.as_ref() == Some(sender));
            return is_about_sender
                .then_some(())
                .ok_or(AuthenticationFault::OtherDomain);
        }
        let value = value_of(result.result)
            .filter(|value| {
                matches!(
                    value,
                    R::Pass | R::Fail | R::None | R::TempError | R::PermError
                )
            })
            .ok_or(AuthenticationFault::Unreadable)?;
        match (&domain, self.sender) {
            (Some(domain), Some(sender)) if domain == sender => {
                let mut named = result.all("header", "from");
                let is_found = matches!(value, R::Pass | R::Fail);
                self.found.dmarc_unnamed = !is_found && !named.all(str::is_ascii);
            }
            // There is no sender, so the result does not matter.
            (_, None) => {}
            (None, Some(_)) if !names_domain => match value {
                // A pass has to name its domain.
                R::Pass => return Err(AuthenticationFault::OtherDomain),
                R::Fail => {}
                // rspamd names no domain if it has no policy.
                _ => self.found.dmarc_unnamed = true,
            },
            _ => return Err(AuthenticationFault::OtherDomain),
        }
        self.found.dmarc = Some(value);
        self.found.dmarc_policy = policy::find(result, domain.as_ref().or(self.sender));
        Ok(())
    }

    /// Records a pass of the sender's organization; `named` is a domain, or an address in it.
    fn note_aligned(&mut self, value: Option<AuthenticationResult>, named: Option<&str>) {
        if value != Some(AuthenticationResult::Pass) {
            return;
        }
        let domain = named.and_then(|named| Domain::parse(named.rsplit('@').next()?).ok());
        if let (Some(domain), Some(sender)) = (domain, self.sender) {
            self.found.aligned |=
                public_suffix::is_same_organization(domain.as_str(), sender.as_str());
            self.has_exact_pass |= domain == *sender;
        }
    }

    /// Removes the policy `none` beside the result `none` if it cannot be that of a record: with one, a pass of
    /// exactly the sender's domain would be a DMARC pass. `OpenDMARC`, mail-auth and Fastmail's milter write it for
    /// a domain without a record.
    ///
    /// A record that our MTA did not look up may require exactly the sender's domain (RFC 9989 4.7, `adkim` and
    /// `aspf`), so then no other domain of the organization vouches for the sender.
    fn finish(mut self, is_lenient: bool) -> Authentication {
        if is_lenient && !self.found.is_dmarc_named() {
            self.found.aligned &= self.has_exact_pass;
        }
        if self.has_exact_pass
            && self.found.dmarc == Some(AuthenticationResult::None)
            && self.found.dmarc_policy == Some(DmarcPolicy::None)
        {
            self.found.dmarc_policy = None;
        }
        self.found
    }
}

impl MethodResult<'_> {
    fn all(&self, kind: &str, name: &str) -> impl Iterator<Item = &str> {
        self.properties
            .iter()
            .filter(move |(a, b, _)| a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(name))
            .map(|(_, _, value)| value.as_ref())
    }

    /// Value of a property that occurs exactly once.
    fn only(&self, kind: &str, name: &str) -> Option<&str> {
        let mut values = self.all(kind, name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }
}

/// Searches without regard to ASCII case, in one pass.
fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase()
        .contains(&part.to_ascii_lowercase())
}

/// Parses a result of RFC 8601 2.7, or the `hardfail` of its predecessors.
fn value_of(word: &str) -> Option<AuthenticationResult> {
    match word.to_ascii_lowercase().as_str() {
        "hardfail" => Some(AuthenticationResult::Fail),
        word => AuthenticationResult::from_name(word),
    }
}

/// True if the value of an `ARC-Authentication-Results` field of this instance contains a DMARC pass for this
/// domain, and no other DMARC result.
pub(crate) fn dmarc_pass_in_arc_results(value: &[u8], instance: u32, domain: &Domain) -> bool {
    let value = String::from_utf8_lossy(value);
    // Folds (RFC 5322 2.2.3); any other CR or LF does not parse.
    let value = value.replace("\r\n ", " ").replace("\r\n\t", "\t");
    let Ok((found, field)) = ResultsField::of_arc(value.trim_end()) else {
        return false;
    };
    if found != instance || !field.is_well_formed() {
        return false;
    }
    let mut results = Results {
        sender: Some(domain),
        found: Authentication::default(),
        has_dmarc: false,
        has_exact_pass: false,
    };
    results.take_results(field).is_ok() && results.found.dmarc == Some(AuthenticationResult::Pass)
}

#[cfg(test)]
mod tests;
