//! DMARC (RFC 9989): checks whether DKIM or SPF vouches for the domain in From, and reads the policy of its
//! owner.

use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, MessageAuthenticator,
    Parameters, SpfOutput, SpfResult,
};

use super::alignment::may_be_one_organisation;
use super::own_results::property;
use super::policy_records::PolicyRecords;
use super::reason::{NO_ANSWER, reason};
use crate::mail::{AuthenticationDetail, AuthenticationMethod, AuthenticationResult, DmarcPolicy};

/// Results of DKIM and SPF, as far as they can concern the domain in From.
pub(super) struct Vouchers<'x> {
    signatures: Vec<DkimOutput<'x>>,
    spf: SpfOutput,
}

impl Default for Vouchers<'_> {
    fn default() -> Self {
        Self {
            signatures: Vec::new(),
            spf: SpfOutput::new(String::new()),
        }
    }
}

impl<'x> Vouchers<'x> {
    /// Removes results that can never be aligned, so that nothing is queried about them.
    pub(super) fn for_domain(from: &str, dkim: &[DkimOutput<'x>], spf: Option<&SpfOutput>) -> Self {
        let signatures = dkim
            .iter()
            .filter(|output| {
                output
                    .signature()
                    .is_some_and(|signature| may_be_one_organisation(&signature.d, from))
            })
            .cloned()
            .collect();
        let spf = spf
            .filter(|output| may_be_one_organisation(output.domain(), from))
            .cloned()
            .unwrap_or_else(|| SpfOutput::new(String::new()));
        Self { signatures, spf }
    }
}

impl Vouchers<'_> {
    /// True if one of them passed.
    pub(super) fn has_a_pass(&self) -> bool {
        self.spf.result() == SpfResult::Pass
            || self
                .signatures
                .iter()
                .any(|output| *output.result() == DkimResult::Pass)
    }

    /// True if DMARC has the same result without them: none of them passed, or might have.
    pub(super) fn have_no_effect(&self) -> bool {
        self.domains().next().is_none()
    }

    /// The domains for which one of them passed, or might have.
    fn domains(&self) -> impl Iterator<Item = &str> {
        let signers = self
            .signatures
            .iter()
            .filter(|output| matches!(output.result(), DkimResult::Pass | DkimResult::TempError(_)))
            .filter_map(DkimOutput::signature)
            .map(|signature| signature.d.as_str());
        let may_pass = matches!(self.spf.result(), SpfResult::Pass | SpfResult::TempError);
        signers.chain(may_pass.then(|| self.spf.domain()))
    }
}

/// True if a repeated query may give another result: a name server did not answer. With a record that treats names
/// that do not exist differently (`np`), mail-auth hides this: it takes the name for an existing one.
pub(super) fn may_change(output: &DmarcOutput) -> bool {
    let depends_on_name = output
        .dmarc_record()
        .is_some_and(|record| record.np != record.sp);
    depends_on_name || matches!(output.result(), DmarcResult::TempError(_))
}

/// Maximum octets of a domain below which `_dmarc` is a name (RFC 1035 2.3.4).
const MAX_DOMAIN: usize = 253 - "_dmarc.".len();

/// The domain whose policy is queried: `from`, or the longest of its parents that can have a record. `mail-auth` gives
/// up at a longer name, so that the policy for subdomains would have no effect on it.
pub(super) fn policy_domain(from: &str) -> &str {
    let mut domain = from;
    while domain.len() > MAX_DOMAIN
        && let Some((_, parent)) = domain.split_once('.')
    {
        domain = parent;
    }
    domain
}

/// True if the name servers of the domain answered the queries about its policy. `output` is without vouchers.
pub(super) fn has_answer(output: &DmarcOutput) -> bool {
    !matches!(output.result(), DmarcResult::TempError(_))
}

/// Queries the domain's policy and checks alignment. `message` has the single domain in its `from`.
pub(super) async fn verify<'x>(
    dns: &MessageAuthenticator,
    message: &'x AuthenticatedMessage<'x>,
    vouchers: &Vouchers<'x>,
) -> DmarcOutput {
    let records = policy_records(dns, message, vouchers).await;
    let parameters = DmarcParameters {
        message,
        dkim_output: &vouchers.signatures,
        dkim2_output: None,
        rfc5321_mail_from_domain: vouchers.spf.domain(),
        spf_output: &vouchers.spf,
    };
    dns.verify_dmarc(Parameters::new(parameters).with_txt_cache(&records))
        .await
}

/// The records of the domain in From and, if it has a policy, of the domains that vouch for it.
async fn policy_records(
    dns: &MessageAuthenticator,
    message: &AuthenticatedMessage<'_>,
    vouchers: &Vouchers<'_>,
) -> PolicyRecords {
    let mut records = PolicyRecords::default();
    for from in &message.from {
        let domain = from.trim_start_matches('@');
        records.read(domain, dns).await;
        if records.is_empty() {
            continue;
        }
        let others: Vec<&str> = vouchers
            .domains()
            .filter(|other| *other != domain)
            .collect();
        for other in others {
            records.read(other, dns).await;
        }
    }
    records
}

/// The result, and the policy of a domain that has one.
pub(super) fn finding(
    from: &str,
    output: &DmarcOutput,
    spf_unknown: bool,
) -> (AuthenticationDetail, Option<DmarcPolicy>) {
    let policy = output.dmarc_record().map(|_| match output.policy() {
        Policy::Reject => DmarcPolicy::Reject,
        Policy::Quarantine => DmarcPolicy::Quarantine,
        Policy::None | Policy::Unspecified => DmarcPolicy::None,
    });
    let (result, reason) = match output.result() {
        DmarcResult::Pass => (AuthenticationResult::Pass, None),
        DmarcResult::None => (
            AuthenticationResult::None,
            Some("the domain has no policy".to_owned()),
        ),
        // SPF was never queried, so a failure of DKIM alone proves nothing against the domain.
        DmarcResult::Fail(_) if spf_unknown => (
            AuthenticationResult::None,
            Some("not evaluated, because SPF could not be queried".to_owned()),
        ),
        DmarcResult::Fail(_) => (
            AuthenticationResult::Fail,
            Some("neither DKIM nor SPF vouches for the domain in From".to_owned()),
        ),
        DmarcResult::TempError(_) => (AuthenticationResult::TempError, Some(NO_ANSWER.to_owned())),
        DmarcResult::PermError(error) => (AuthenticationResult::PermError, Some(reason(&error))),
    };
    let mut properties = vec![property("header.from", from)];
    properties.extend(policy.map(|policy| property("policy.dmarc", policy.as_str())));
    let detail = AuthenticationDetail {
        properties,
        ..AuthenticationDetail::new(AuthenticationMethod::Dmarc, result, reason)
    };
    (detail, policy)
}

/// The finding if there was no time to query the policy.
pub(super) fn finding_without_answer(from: &str) -> (AuthenticationDetail, Option<DmarcPolicy>) {
    let (method, result) = (AuthenticationMethod::Dmarc, AuthenticationResult::TempError);
    let detail = AuthenticationDetail {
        properties: vec![property("header.from", from)],
        ..AuthenticationDetail::new(method, result, Some(NO_ANSWER.to_owned()))
    };
    (detail, None)
}

/// The finding about a message without a usable author.
pub(super) fn finding_without_sender() -> (AuthenticationDetail, Option<DmarcPolicy>) {
    let (method, result) = (AuthenticationMethod::Dmarc, AuthenticationResult::None);
    let reason = Some("no usable sender".to_owned());
    (AuthenticationDetail::new(method, result, reason), None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mail_auth::Error;
    use mail_auth::common::parse::TxtRecordParser;
    use mail_auth::dmarc::Dmarc;

    use super::*;

    #[test]
    fn a_policy_for_names_that_do_not_exist_is_queried_again() {
        for (record, expected) in [
            ("v=DMARC1; p=reject", false),
            ("v=DMARC1; p=none; sp=reject", false),
            ("v=DMARC1; p=none; sp=reject; np=reject", false),
            ("v=DMARC1; p=none; np=reject", true),
            ("v=DMARC1; p=reject; sp=none; np=reject", true),
        ] {
            let parsed = Dmarc::parse(record.as_bytes()).expect("a record");
            let output = DmarcOutput::default().with_record(Arc::new(parsed));
            assert!(matches!(output.result(), DmarcResult::Fail(_)), "{record}");
            assert_eq!(may_change(&output), expected, "{record}");
        }
        assert!(!may_change(&DmarcOutput::default()));
        let failed = DmarcResult::TempError(Error::NotAligned);
        assert!(may_change(&DmarcOutput::default().with_spf_result(failed)));
    }
}
