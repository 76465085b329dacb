//! DMARC policy records, read before `mail-auth` needs them.
//!
//! RFC 9989 ignores a tag with a syntax error (4.7), and all records of a name that has several (4.10). `mail-auth`
//! rejects the whole record for such a tag, so that nothing would protect a domain with `adkim=strict`, and it takes
//! the first of several records.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Dmarc, Psd};
use mail_auth::hickory_resolver::proto::rr::{Name, RData, RecordType};
use mail_auth::{DnsError, Error, MessageAuthenticator, ResolverCache, Txt};

/// Number of labels with which a tree walk goes on after a longer name (RFC 9989 4.10).
const MAX_LABELS: usize = 7;

/// Tags whose errors concern the policy itself; `mail-auth` judges them.
const POLICIES: [&[u8]; 3] = [b"p", b"sp", b"np"];

/// Answers by name, with a final dot. `mail-auth` looks them up as in a cache.
#[derive(Default)]
pub(super) struct PolicyRecords(HashMap<Box<str>, Txt>);

impl PolicyRecords {
    /// Queries the records of a domain and its parents, until one ends the tree walk. `domain` is in ASCII form and
    /// lower case.
    pub(super) async fn read(&mut self, domain: &str, dns: &MessageAuthenticator) {
        let names: Vec<&str> = walked_names(domain).collect();
        for name in names {
            let key = format!("_dmarc.{name}.").into_boxed_str();
            let answer = match self.0.get(&key) {
                Some(known) => known.clone(),
                None => query(name, dns).await,
            };
            let ends_walk = match &answer {
                Txt::Dmarc(record) => record.psd != Psd::Default,
                Txt::Error(Error::Dns(
                    DnsError::RecordNotFound(_) | DnsError::InvalidRecordType,
                )) => false,
                _ => true,
            };
            self.0.insert(key, answer);
            if ends_walk {
                return;
            }
        }
    }

    /// True if no name has a record.
    pub(super) fn is_empty(&self) -> bool {
        !self
            .0
            .values()
            .any(|answer| matches!(answer, Txt::Dmarc(_)))
    }
}

impl ResolverCache<Box<str>, Txt> for PolicyRecords {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(name).cloned()
    }

    fn remove<Q>(&self, _name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _name: Box<str>, _answer: Txt, _valid_until: Instant) {}
}

/// The names of a tree walk, from the domain to its top-level domain, which has none itself.
fn walked_names(domain: &str) -> impl Iterator<Item = &str> {
    let start = Some(domain).filter(|name| name.contains('.'));
    let parents =
        std::iter::successors(start, |name| name.split_once('.').map(|(_, parent)| parent));
    parents.filter(move |name| *name == domain || name.split('.').count() <= MAX_LABELS)
}

/// The only policy record of a name, or the reason why there is none.
async fn query(name: &str, dns: &MessageAuthenticator) -> Txt {
    let labels = std::iter::once("_dmarc").chain(name.split('.'));
    let Ok(name) = Name::from_labels(labels.map(str::as_bytes)) else {
        return Txt::Error(Error::ParseError);
    };
    let answer = match dns.resolver().lookup(name, RecordType::TXT).await {
        Ok(answer) => answer,
        Err(cause) => return Txt::Error(Error::from(cause)),
    };
    let mut records = answer.answers().iter().filter_map(|record| {
        let RData::TXT(txt) = &record.data else {
            return None;
        };
        Some(txt.txt_data.concat()).filter(|text| has_version(text))
    });
    match (records.next(), records.next()) {
        (Some(record), None) => match Dmarc::parse(&without_faulty_tags(&record)) {
            Ok(record) => Txt::Dmarc(Arc::new(record)),
            Err(error) => Txt::Error(error),
        },
        _ => Txt::Error(Error::Dns(DnsError::InvalidRecordType)),
    }
}

/// True if the first tag is the version.
fn has_version(record: &[u8]) -> bool {
    record
        .split(|byte| *byte == b';')
        .next()
        .and_then(tag)
        .is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case(b"v") && value.eq_ignore_ascii_case(b"DMARC1")
        })
}

/// The record without the tags that cannot be read, except for those that name a policy.
fn without_faulty_tags(record: &[u8]) -> Vec<u8> {
    let is_kept = |written: &&[u8]| {
        tag(written).is_some_and(|(name, _)| {
            POLICIES
                .iter()
                .any(|policy| name.eq_ignore_ascii_case(policy))
                || Dmarc::parse(&[b"v=DMARC1;".as_slice(), *written].concat()).is_ok()
        })
    };
    let tags = record.split(|byte| *byte == b';').filter(is_kept);
    tags.collect::<Vec<_>>().join(&b';')
}

/// Name and value of a tag.
fn tag(written: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', written)?;
    Some((written[..at].trim_ascii(), written[at + 1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_cannot_be_read_are_ignored() {
        for (record, expected) in [
            ("v=DMARC1; p=reject", "v=DMARC1; p=reject"),
            ("v=DMARC1; p=reject; adkim=strict", "v=DMARC1; p=reject"),
            (
                "v=DMARC1; aspf=relaxed; p=reject; adkim=s;",
                "v=DMARC1; p=reject; adkim=s",
            ),
            (
                "v=DMARC1; p=reject; fo=1,d; sp=none",
                "v=DMARC1; p=reject; sp=none",
            ),
            (
                "v=DMARC1;; comment; p=reject; ruf=mailto:a@b!10x",
                "v=DMARC1; p=reject",
            ),
            ("v=DMARC1; p=reject; sp=", "v=DMARC1; p=reject; sp="),
            ("v=DMARC1; p=whatever", "v=DMARC1; p=whatever"),
        ] {
            let found = without_faulty_tags(record.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected, "{record}");
        }
    }

    #[test]
    fn only_a_record_that_begins_with_the_version_counts() {
        for (record, expected) in [
            ("v=DMARC1", true),
            ("v = DMARC1 ; p=none", true),
            ("V=dmarc1; p=none", true),
            ("v=DMARC12; p=none", false),
            ("p=none; v=DMARC1", false),
            ("v=spf1 -all", false),
            ("", false),
        ] {
            assert_eq!(has_version(record.as_bytes()), expected, "{record}");
        }
    }

    #[test]
    fn a_walk_skips_the_labels_of_long_names() {
        let names: Vec<_> = walked_names("a.b.c.d.e.f.g.corp.example").collect();
        assert_eq!(
            names,
            [
                "a.b.c.d.e.f.g.corp.example",
                "c.d.e.f.g.corp.example",
                "d.e.f.g.corp.example",
                "e.f.g.corp.example",
                "f.g.corp.example",
                "g.corp.example",
                "corp.example",
                "example",
            ]
        );
        assert_eq!(walked_names("example").count(), 0);
    }
}
