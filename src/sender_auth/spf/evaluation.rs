//! Evaluation of SPF records (RFC 7208 4 and 5): the function `check_host()`.
//!
//! `mail-auth` evaluates records, too, but a match inside an `include` inside an `include` is a pass to it whatever
//! the qualifier of the outer one is, and a name that the sender made invalid by a macro is a `temperror`.

use std::net::IpAddr;
use std::pin::Pin;

use ipnet::IpNet;
use mail_auth::hickory_resolver::proto::rr::{Name, RData, RecordType};
use mail_auth::{DnsError, Error, MessageAuthenticator, SpfResult};
use tokio::time::timeout;

use super::SpfIdentity;
use super::macros::{DomainSpec, MacroValues};
use super::record::{PrefixLengths, SpfMechanism, SpfRecord, VERSION};

/// Maximum number of terms that cause queries (RFC 7208 4.6.4).
const MAX_LOOKUPS: usize = 10;

/// Maximum number of terms whose query finds nothing (RFC 7208 4.6.4).
const MAX_VOID_LOOKUPS: usize = 2;

/// Maximum number of names of one MX or PTR query whose addresses are queried (RFC 7208 4.6.4).
const MAX_NAMES: usize = 10;

/// Maximum octets of a record. Each `include` within another keeps its own.
const MAX_RECORD: usize = 8 * 1024;

/// The evaluation of one identity.
pub(super) struct SpfEvaluation<'a> {
    dns: &'a MessageAuthenticator,
    identity: &'a SpfIdentity,
    lookups: usize,
    void_lookups: usize,
    /// Names of the client that lead back to its address, once they are known.
    client_names: Option<Vec<String>>,
}

impl<'a> SpfEvaluation<'a> {
    pub(super) fn of(identity: &'a SpfIdentity, dns: &'a MessageAuthenticator) -> Self {
        Self {
            dns,
            identity,
            lookups: 0,
            void_lookups: 0,
            client_names: None,
        }
    }

    /// Evaluates the record of a domain. The future is boxed because `include` and `redirect` recur.
    pub(super) fn check_host<'s>(
        &'s mut self,
        domain: &'s str,
    ) -> Pin<Box<dyn Future<Output = SpfResult> + Send + 's>> {
        Box::pin(async move {
            match self.evaluate(domain).await {
                Ok(result) | Err(result) => result,
            }
        })
    }

    /// An error is a result that no other term can change.
    async fn evaluate(&mut self, domain: &str) -> Result<SpfResult, SpfResult> {
        let record = self.record(domain).await?;
        for directive in record.directives() {
            if self.matches(directive.mechanism, domain).await? {
                return Ok(directive.qualifier);
            }
        }
        let Some(target) = record.redirect() else {
            return Ok(SpfResult::Neutral);
        };
        let target = self.target(Some(target), domain).await?;
        match self.check_host(&target).await {
            // RFC 7208 6.1: the domain that is meant must have a record.
            SpfResult::None => Err(SpfResult::PermError),
            result => Ok(result),
        }
    }

    /// The only record of a domain.
    async fn record(&self, domain: &str) -> Result<SpfRecord, SpfResult> {
        // RFC 7208 4.3: a single label is not a domain that anybody could publish for.
        if !domain.contains('.') {
            return Err(SpfResult::None);
        }
        let answer = self.lookup(domain, RecordType::TXT).await?;
        let mut records = answer.iter().filter_map(|data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()).filter(|text| is_spf(text)),
            _ => None,
        });
        let record = records.next().ok_or(SpfResult::None)?;
        // RFC 7208 4.5: more than one record is an error.
        if records.next().is_some() {
            return Err(SpfResult::PermError);
        }
        String::from_utf8(record)
            .ok()
            .filter(|text| text.len() <= MAX_RECORD)
            .and_then(SpfRecord::parse)
            .ok_or(SpfResult::PermError)
    }

    /// True if the client matches the mechanism.
    async fn matches(&mut self, mechanism: SpfMechanism, domain: &str) -> Result<bool, SpfResult> {
        match mechanism {
            SpfMechanism::All => Ok(true),
            SpfMechanism::Network(network) => Ok(network.contains(&self.identity.address)),
            SpfMechanism::Include(target) => {
                let target = self.target(Some(target), domain).await?;
                match self.check_host(&target).await {
                    SpfResult::Pass => Ok(true),
                    SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => Ok(false),
                    SpfResult::TempError => Err(SpfResult::TempError),
                    SpfResult::PermError | SpfResult::None => Err(SpfResult::PermError),
                }
            }
            SpfMechanism::A(target, lengths) => {
                let target = self.target(target, domain).await?;
                let found = self.lookup_of_term(&target, self.address_type()).await?;
                Ok(self.is_client_among(&found, lengths))
            }
            SpfMechanism::Mx(target, lengths) => {
                let target = self.target(target, domain).await?;
                self.has_client_in_mx(&target, lengths).await
            }
            SpfMechanism::Ptr(target) => {
                let target = self.target(target, domain).await?;
                let names = self.client_names().await;
                Ok(names.iter().any(|name| is_within(name, &target)))
            }
            // RFC 7208 5.7: A records, also for a client with IPv6.
            SpfMechanism::Exists(target) => {
                let target = self.target(Some(target), domain).await?;
                let found = self.lookup_of_term(&target, RecordType::A).await?;
                Ok(!found.is_empty())
            }
        }
    }

    /// The name that a term is about. Counts the term, which causes a query.
    async fn target(
        &mut self,
        spec: Option<DomainSpec>,
        domain: &str,
    ) -> Result<String, SpfResult> {
        self.count_lookup()?;
        let Some(spec) = spec else {
            return Ok(domain.to_owned());
        };
        let mut validated = "unknown".to_owned();
        if spec.needs_validated_name() {
            self.count_lookup()?;
            let mut names = self.client_names().await;
            // RFC 7208 7.3: the domain itself, or else a name within it, or else any.
            names
                .sort_by_key(|name| (!name.eq_ignore_ascii_case(domain), !is_within(name, domain)));
            validated = names.into_iter().next().unwrap_or(validated);
        }
        let postmaster = format!("postmaster@{}", self.identity.domain);
        // RFC 7208 4.3: an empty local part is replaced, too.
        let mailbox = self.identity.mailbox.as_ref();
        let sender = mailbox
            .filter(|mailbox| !mailbox.starts_with('@'))
            .unwrap_or(&postmaster);
        Ok(spec.expand(&MacroValues {
            sender,
            domain,
            address: self.identity.address,
            helo: &self.identity.helo,
            validated: &validated,
        }))
    }

    fn count_lookup(&mut self) -> Result<(), SpfResult> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS {
            return Err(SpfResult::PermError);
        }
        Ok(())
    }

    /// True if the name has an address in the same network as the client.
    async fn has_client(&self, name: &str, lengths: PrefixLengths) -> Result<bool, SpfResult> {
        let found = self.lookup(name, self.address_type()).await?;
        Ok(self.is_client_among(&found, lengths))
    }

    fn address_type(&self) -> RecordType {
        match self.identity.address {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::AAAA,
        }
    }

    /// True if one of these addresses is in the same network as the client.
    fn is_client_among(&self, found: &[RData], lengths: PrefixLengths) -> bool {
        let client = self.identity.address;
        let length = match client {
            IpAddr::V4(_) => lengths.v4,
            IpAddr::V6(_) => lengths.v6,
        };
        found.iter().filter_map(RData::ip_addr).any(|address| {
            IpNet::new(address, length).is_ok_and(|network| network.contains(&client))
        })
    }

    async fn has_client_in_mx(
        &mut self,
        target: &str,
        lengths: PrefixLengths,
    ) -> Result<bool, SpfResult> {
        let found = self.lookup_of_term(target, RecordType::MX).await?;
        if found.len() > MAX_NAMES {
            return Err(SpfResult::PermError);
        }
        for data in &found {
            if let RData::MX(mx) = data
                && self.has_client(&text(&mx.exchange), lengths).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The validated names of the client (RFC 7208 5.5), without those that take longer than a query may. The owner of
    /// the address chooses its names, so a failure to find one must not be an error.
    async fn client_names(&mut self) -> Vec<String> {
        if let Some(names) = &self.client_names {
            return names.clone();
        }
        let mut names = Vec::new();
        let limit = self.dns.resolver().options().timeout;
        let _ = timeout(limit, self.find_client_names(&mut names)).await;
        self.client_names = Some(names.clone());
        names
    }

    /// Adds the names of the client that lead back to its address.
    async fn find_client_names(&self, names: &mut Vec<String>) {
        let reverse = Name::from(self.identity.address);
        let found = self.lookup_name(reverse, RecordType::PTR).await;
        for data in found.unwrap_or_default().iter().take(MAX_NAMES) {
            if let RData::PTR(name) = data {
                let name = text(&name.0);
                if self.has_client(&name, PrefixLengths::WHOLE).await == Ok(true) {
                    names.push(name);
                }
            }
        }
    }

    /// The records that decide a term. Counts the term if there are none.
    async fn lookup_of_term(
        &mut self,
        name: &str,
        kind: RecordType,
    ) -> Result<Vec<RData>, SpfResult> {
        let found = self.lookup(name, kind).await?;
        if found.is_empty() {
            self.void_lookups += 1;
            if self.void_lookups > MAX_VOID_LOOKUPS {
                return Err(SpfResult::PermError);
            }
        }
        Ok(found)
    }

    /// The records of this type. A name that cannot be one in DNS has none (RFC 7208 4.8): the sender may have chosen
    /// a part of it.
    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, SpfResult> {
        match Name::from_labels(name.split('.').map(str::as_bytes)) {
            Ok(name) => self.lookup_name(name, kind).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn lookup_name(&self, name: Name, kind: RecordType) -> Result<Vec<RData>, SpfResult> {
        match self.dns.resolver().lookup(name, kind).await {
            Ok(answer) => {
                let data = answer.answers().iter().map(|record| &record.data);
                Ok(data
                    .filter(|data| data.record_type() == kind)
                    .cloned()
                    .collect())
            }
            Err(cause) => match Error::from(cause) {
                Error::Dns(DnsError::RecordNotFound(_)) => Ok(Vec::new()),
                _ => Err(SpfResult::TempError),
            },
        }
    }
}

/// True if the text begins with the version of SPF (RFC 7208 4.5).
fn is_spf(text: &[u8]) -> bool {
    text.split_at_checked(VERSION.len())
        .is_some_and(|(version, rest)| {
            version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(rest, [] | [b' ', ..])
        })
}

/// A name from DNS in lower case, without the final dot.
fn text(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// True for the domain and for names below it. `name` is in lower case.
fn is_within(name: &str, domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    name.strip_suffix(domain.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
