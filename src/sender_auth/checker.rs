//! The complete check: which queries run concurrently, their timeouts and limits.
//!
//! Everything about one message happens within `authentication.timeout`. DKIM, SPF and ARC get three quarters
//! of it, so that a slow name server leaves time for DMARC; otherwise it could turn a failure into a
//! `temperror`.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mail_auth::{AuthenticatedMessage, DkimOutput, MessageAuthenticator};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::arc::VouchedAuthor;
use super::client::{Client, client};
use super::dmarc::Vouchers;
use super::message::{Signed, has_name};
use super::outage::Outages;
use super::spf::SpfQuery;
use super::{arc, dkim, dmarc, key_limits, resolver};
use crate::config;
use crate::domain::{Domain, Envelope};
use crate::mail::{Authentication, AuthenticationDetail, AuthenticationResult, DmarcPolicy};
use crate::panics::catch_panic;

/// Maximum number of concurrently checked messages; others wait within their own timeout.
const MAX_CONCURRENT: usize = 256;

/// Reason why messages cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckerError {
    #[error(
        "the system's DNS servers cannot be determined: /etc/resolv.conf: {0}; list them in \
         authentication.resolvers"
    )]
    System(String),
    #[error("authentication.resolvers cannot be used: {0}")]
    Resolver(String),
    #[error(
        "sender authentication is not possible: this machine has no CA certificates, and the DNS client does not \
         start without them; install ca-certificates"
    )]
    Authorities,
}

/// Checks messages; clones share the DNS cache.
#[derive(Clone)]
pub struct Checker {
    shared: Arc<Shared>,
}

struct Shared {
    dns: MessageAuthenticator,
    permits: Semaphore,
    timeout: Duration,
    outages: Outages,
    /// Machines that hand mail to us, whose Received fields are trusted.
    ours: Vec<IpNet>,
    /// Trusted ARC sealers.
    trusted: Vec<Domain>,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker {
    /// Creates a checker without sending queries. `trusted_peers` are those of SMTP.
    ///
    /// # Errors
    /// No DNS servers are configured and the system has none, either.
    pub fn new(
        settings: &config::AuthenticationConfig,
        trusted_peers: &[IpNet],
    ) -> Result<Self, CheckerError> {
        Ok(Self {
            shared: Arc::new(Shared {
                dns: resolver::resolver(&settings.resolvers, settings.timeout)?,
                permits: Semaphore::new(MAX_CONCURRENT),
                timeout: settings.timeout,
                outages: Outages::default(),
                ours: trusted_peers.to_vec(),
                trusted: settings.trusted_arc_sealers.clone(),
            }),
        })
    }

    /// Authenticates the message for the domain in From. `from` is None if the message has no usable sender;
    /// `author` is the one for whom a trusted ARC sealer can vouch. Takes no longer than
    /// `authentication.timeout`.
    pub async fn check(
        &self,
        raw: &[u8],
        envelope: &Envelope,
        from: Option<&Domain>,
        author: Option<&VouchedAuthor>,
    ) -> Authentication {
        let from = from.map(Domain::as_str);
        // A panic of the library must not end the connection: the MTA would send the message again and again. The
        // result for such a message is unknown.
        catch_panic(Box::pin(self.shared.check(raw, envelope, from, author)))
            .await
            .unwrap_or_default()
    }

    /// Verifies the ARC chain alone, and finds the trusted sealer that vouches for the author. Queries DNS
    /// only if a trusted sealer made the newest seal. Takes no longer than `authentication.timeout`.
    pub async fn find_arc_sealer(&self, raw: &[u8], author: &VouchedAuthor) -> Option<String> {
        catch_panic(Box::pin(self.shared.find_arc_sealer(raw, author)))
            .await
            .unwrap_or_default()
    }
}

impl Shared {
    async fn find_arc_sealer(&self, raw: &[u8], author: &VouchedAuthor) -> Option<String> {
        let deadline = Instant::now() + self.timeout;
        let signed = Signed::read(raw, None);
        let message = &signed.message;
        if signed.chain_refused.is_some() || arc::newest_sealer(message, &self.trusted).is_none() {
            return None;
        }
        let _permit = timeout_at(deadline, self.permits.acquire()).await.ok()?;
        let chain = timeout_at(deadline, self.dns.verify_arc(message))
            .await
            .ok()?;
        arc::sealer_vouching_for(author, &chain, message, &self.trusted).map(ToString::to_string)
    }

    async fn check(
        &self,
        raw: &[u8],
        envelope: &Envelope,
        from: Option<&str>,
        author: Option<&VouchedAuthor>,
    ) -> Authentication {
        let start = Instant::now();
        let mut first = start + self.timeout * 3 / 4;
        let mut deadline = start + self.timeout;
        let permit = timeout_at(first, self.permits.acquire()).await;
        let has_outage = from.is_some_and(|from| self.outages.has(from, start));
        if permit.is_err() || has_outage {
            // Queries from here on have no time left: they are answered from the cache or not at all.
            (first, deadline) = (start, start);
        }

        let dns = &self.dns;
        let signed = Signed::read(raw, from);
        let message = &signed.message;
        let query = SpfQuery::of(&self.client(envelope, message), &envelope.reverse_path);

        let nobody = Vouchers::default();
        // The last future prefetches the policy, so that it is in the cache when DMARC needs it. Its result stands if
        // no signature and no SPF result can change it.
        let (own, others, spf, chain, unvouched) = tokio::join!(
            timeout_at(first, key_limits::verify_signatures(dns, message)),
            timeout_at(first, verify_others(dns, &signed)),
            timeout_at(first, query.ask(dns)),
            timeout_at(first, dns.verify_arc(message)),
            timeout_at(first, dmarc::verify(dns, message, &nobody)),
        );
        let own = own.unwrap_or_else(|_| dkim::outputs_without_answer(message));
        let others = others.unwrap_or_else(|_| {
            signed
                .others
                .as_ref()
                .map_or_else(Vec::new, dkim::outputs_without_answer)
        });
        let spf = spf.unwrap_or_else(|_| query.output_without_answer());
        let chain = chain.unwrap_or_else(|_| arc::output_without_answer());

        let has_policy_answer = unvouched.as_ref().is_ok_and(dmarc::has_answer);
        let vouchers = from.map(|from| Vouchers::for_domain(from, &own, spf.as_ref()));
        let dmarc = match from.zip(vouchers.as_ref()) {
            None => dmarc::finding_without_sender(),
            Some((from, vouchers)) => {
                let output = match unvouched.ok().filter(|_| vouchers.have_no_effect()) {
                    Some(output) if !dmarc::may_change(&output) => Some(output),
                    earlier => timeout_at(deadline, dmarc::verify(dns, message, vouchers))
                        .await
                        .ok()
                        .or(earlier),
                };
                match output {
                    Some(output) => dmarc::finding(from, &output, query.is_unknown()),
                    None => dmarc::finding_without_answer(from),
                }
            }
        };
        if let Some(from) = from.filter(|_| !has_outage && permit.is_ok()) {
            let failed = dmarc.0.result == AuthenticationResult::TempError && !has_policy_answer;
            self.outages.note(from, failed, Instant::now());
        }
        let mut signatures = dkim::findings(&own);
        signatures.extend(dkim::findings(&others));
        signatures.extend(signed.refused);
        let sealer = author
            .filter(|_| signed.chain_refused.is_none())
            .and_then(|author| arc::sealer_vouching_for(author, &chain, message, &self.trusted));
        let chain = match signed.chain_refused {
            Some(why) => arc::unverified_finding(why),
            None => arc::finding(&chain, signed.is_sealed),
        };
        let mut found = gather(dmarc, query.finding(spf.as_ref()), signatures, chain);
        found.arc_sealer = sealer.map(ToString::to_string);
        found.aligned = vouchers.is_some_and(|vouchers| vouchers.has_a_pass());
        found
    }

    fn client(&self, envelope: &Envelope, message: &AuthenticatedMessage<'_>) -> Client {
        let received = message
            .headers
            .iter()
            .filter(|(name, _)| has_name(name, b"received"))
            .map(|(_, value)| *value);
        client(envelope, received, &self.ours)
    }
}

async fn verify_others<'x>(
    dns: &MessageAuthenticator,
    signed: &'x Signed<'x>,
) -> Vec<DkimOutput<'x>> {
    match &signed.others {
        Some(others) => key_limits::verify_signatures(dns, others).await,
        None => Vec::new(),
    }
}

/// Collects the findings, DMARC first, because it decides.
fn gather(
    (dmarc, policy): (AuthenticationDetail, Option<DmarcPolicy>),
    spf: AuthenticationDetail,
    mut signatures: Vec<AuthenticationDetail>,
    chain: AuthenticationDetail,
) -> Authentication {
    if signatures.is_empty() {
        signatures.push(dkim::finding_without_signature());
    }
    let mut found = Authentication {
        dmarc: Some(dmarc.result),
        dmarc_policy: policy,
        spf: Some(spf.result),
        dkim: Some(dkim::summary(&signatures)),
        arc: Some(chain.result),
        details: vec![dmarc, spf],
        ..Authentication::default()
    };
    found.details.append(&mut signatures);
    found.details.push(chain);
    found
}
