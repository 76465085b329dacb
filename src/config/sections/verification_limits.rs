//! `[verification.limits]`: the limits of verification mail, by address, domain, client and in total.

use crate::config::MailLimits;
use crate::config::document::TomlSection;
use crate::domain::AddressDelimiters;

pub(super) fn read(section: &TomlSection<'_>, delimiters: AddressDelimiters) -> MailLimits {
    let most = 1..=1_000_000;
    let total_hour = section.number("total_hour", 500, most.clone());
    let fifth = |of: u32| (of / 5).max(1);
    let sign_up_hour = section.number("sign_up_hour", fifth(total_hour), most.clone());
    let limits = MailLimits {
        per_address_hour: section.number("per_address_hour", 1, most.clone()),
        per_address_day: section.number("per_address_day", 3, most.clone()),
        per_domain_hour: section.number("per_domain_hour", 100, most.clone()),
        total_hour,
        sign_up_hour,
        sign_up_per_client_hour: section.number(
            "sign_up_per_client_hour",
            fifth(sign_up_hour),
            most.clone(),
        ),
        authenticated_hour: section.number("authenticated_hour", fifth(total_hour), most),
        delimiters,
    };
    let kept = limits
        .sign_up_hour
        .saturating_add(limits.authenticated_hour);
    // A limit of one or two cannot be divided.
    if total_hour > 2 && kept >= total_hour {
        section.refuse_key(
            "sign_up_hour",
            format_args!(
                "together with authenticated_hour it reserves {kept} mails of total_hour ({total_hour}), \
                 which leaves none for other senders; write less, or a larger total_hour"
            ),
        );
    }
    limits
}
