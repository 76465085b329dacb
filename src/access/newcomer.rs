//! Decisions about an address without an account, with no message: for the sign-up page, for operators, and
//! to try out settings.

use super::decision_input::{Circumstances, Decision, DecisionInput, Enforcement, Standing};
use super::rules::decide;
use super::settings::Effective;
use crate::domain::{EmailAddress, PortalName};
use crate::mail::{Authentication, Facts, Fingerprint, Sender};

/// The rules' decision about an ordinary first message from `address` to `portal`.
#[must_use]
pub fn decide_newcomer(
    address: &EmailAddress,
    portal: &PortalName,
    settings: &Effective,
) -> Decision {
    let facts = Facts {
        sender: Sender::Usable {
            address: address.clone(),
            written: address.to_string(),
            lookalike: None,
            lenient: false,
        },
        author_behind_list: None,
        from_is_list: false,
        subject: None,
        message_id: None,
        date: None,
        automatic: None,
        presumed_automatic: None,
        bulk: None,
        list_ids: Vec::new(),
        languages: crate::domain::LanguagePriority::default(),
        report: None,
        own_mark: None,
        spam: None,
        received_fields: 0,
        masked_links: 0,
        mbox_line: None,
        authentication: Authentication::default(),
        fingerprint: Fingerprint([0; 32]),
        size: 0,
    };
    let circumstances = Circumstances {
        portal: portal.clone(),
        takes_automatic: false,
        own_list: None,
        sender_is_ours: false,
        enforcement: Enforcement::Off,
    };
    decide(&DecisionInput {
        facts: &facts,
        circumstances: &circumstances,
        standing: &Standing::default(),
        settings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Settings;
    use crate::domain::{DomainPattern, Reason};

    #[test]
    fn the_address_alone_decides() {
        let pattern = |text: &str| DomainPattern::parse(text).expect(text);
        let mut settings = Settings::default();
        settings.internal.approved_domains = vec![pattern("corp.example")].into();
        settings.external.restrict_domains = true;
        settings.external.allowed_domains = vec![pattern("partner.example")].into();
        let portal = PortalName::parse("it").expect("a name");
        for (address, reason) in [
            ("ann@corp.example", Reason::InternalAccountCreated),
            ("bob@partner.example", Reason::ExternalAccountCreated),
            ("eve@evil.example", Reason::DomainNotAllowed),
        ] {
            let address = EmailAddress::parse(address).expect(address);
            assert_eq!(decide_newcomer(&address, &portal, &settings).reason, reason);
        }
    }
}
