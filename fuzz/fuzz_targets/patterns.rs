//! A pattern and a domain, each on a line: a pattern survives formatting and parsing, and matches the same
//! domains as a comparison of whole labels.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::domain::{Domain, DomainPattern, EmailAddress};

fuzz_target!(|text: &str| {
    let (pattern, domain) = text.split_once('\n').unwrap_or((text, "mail.corp.example"));
    let domain = Domain::parse(domain);
    if let Ok(domain) = &domain {
        assert_eq!(Domain::parse(domain.as_str()).as_ref(), Ok(domain));
        assert!(domain.as_str().is_ascii() && domain.as_str().len() <= 253);
        assert!(!domain.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(domain.as_str().split('.').all(|label| (1..=63).contains(&label.len())));
    }
    let Ok(pattern) = DomainPattern::parse(pattern) else {
        return;
    };
    let written = pattern.to_string();
    assert_eq!(DomainPattern::parse(&written), Ok(pattern.clone()));
    assert!(pattern.covers(&pattern));
    let Ok(domain) = domain else {
        return;
    };
    // A pattern can also be an address, and the longest domains leave no room for one.
    let Ok(address) = EmailAddress::parse(&format!("ann@{domain}")) else {
        return;
    };
    if written.contains('@') {
        return;
    }
    let labels: Vec<_> = domain.as_str().split('.').collect();
    let expected = match written.strip_prefix("*.") {
        Some(parent) => {
            let parent: Vec<_> = parent.split('.').collect();
            labels.len() > parent.len() && labels.ends_with(&parent)
        }
        None => written == domain.as_str(),
    };
    assert_eq!(pattern.matches(&address), expected, "{written} {domain}");
    if let Ok(exactly) = DomainPattern::parse(domain.as_str()) {
        assert_eq!(pattern.covers(&exactly), expected, "{written} {domain}");
    }
});
