//! Decides one message, as if it arrived now and were the only one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::runtime::Handle;

use super::context::DecisionContext;
use crate::access::{AccountStanding, DecisionInput, Effective, Standing, decide, sender_for};
use crate::cli::failure::CommandError;
use crate::cli::try_address;
use crate::domain::{
    Account, AccountKind, Class, EmailAddress, Envelope, PortalName, Reason, Recipient,
    RecipientRole, Verdict,
};
use crate::intake::circumstances;
use crate::mail::{self, Identity, RecordedEnvelope, read_recorded};

/// Result for one message, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct ReplayRow {
    pub file: String,
    pub portal: PortalName,
    pub from: Option<String>,
    pub subject: Option<String>,
    pub message_id: Option<String>,
    pub class: Class,
    pub evidence: Option<String>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u8,
    pub account: Option<AccountKind>,
}

/// Input of the decisions, shared by all threads.
pub struct Decider<'a> {
    context: &'a DecisionContext,
    own: Identity,
    /// The portal that all messages are decided for.
    portal: Option<PortalName>,
    /// Current settings of each portal.
    settings: HashMap<PortalName, Effective>,
    runtime: Handle,
    /// Cache of accounts, by the key of the address.
    accounts: Mutex<HashMap<String, Option<Account>>>,
}

impl<'a> Decider<'a> {
    pub fn new(context: &'a DecisionContext, portal: Option<PortalName>, runtime: Handle) -> Self {
        let config = &context.config;
        Self {
            own: config.identity(),
            settings: config
                .portals
                .iter()
                .map(|portal| {
                    let effective = context.settings.effective(Some(&portal.name));
                    (portal.name.clone(), effective)
                })
                .collect(),
            accounts: Mutex::default(),
            context,
            portal,
            runtime,
        }
    }

    /// Parses a message and decides it.
    ///
    /// # Errors
    /// Errors of the database only.
    pub fn decide(&self, file: String, raw: &[u8]) -> Result<ReplayRow, CommandError> {
        let recorded = read_recorded(raw);
        let (portal, address) = self.portal_of(&recorded);
        let envelope = Envelope {
            recipients: vec![Recipient {
                address,
                role: RecipientRole::Portal(portal.clone()),
            }],
            ..Envelope::of_file(recorded.reverse_path)
        };
        let facts = mail::read(raw, &envelope, &self.own);
        let circumstances = circumstances(&self.context.config, &portal, &facts);
        let sender = sender_for(&facts, circumstances.own_list.as_deref());
        let standing = Standing {
            account: match sender.address() {
                Some(address) => self.standing(address, &portal, facts.size)?,
                None => None,
            },
            original: None,
        };
        let decision = decide(&DecisionInput {
            facts: &facts,
            circumstances: &circumstances,
            standing: &standing,
            settings: &self.settings[&portal],
        });
        Ok(ReplayRow {
            file,
            from: sender.addr_spec().map(ToOwned::to_owned),
            class: facts.class(),
            evidence: facts.evidence().map(ToString::to_string),
            verdict: decision.verdict,
            reason: decision.reason,
            rule: decision.rule,
            account: try_address::kind_of(standing.account.map(|account| account.kind), &decision),
            portal,
            subject: facts.subject,
            message_id: facts.message_id,
        })
    }

    /// The portal that a message was for, and its address.
    pub fn portal_of(&self, recorded: &RecordedEnvelope) -> (PortalName, String) {
        let config = &self.context.config;
        for text in &recorded.recipients {
            let Ok(address) = EmailAddress::parse(text) else {
                continue;
            };
            if let Some(RecipientRole::Portal(name)) = config.recipient_role(&address)
                && self.portal.as_ref().is_none_or(|wanted| *wanted == name)
            {
                return (name, text.clone());
            }
        }
        let portal = self
            .portal
            .as_ref()
            .and_then(|name| config.portal(name))
            .unwrap_or(&config.portals[0]);
        let address = portal.addresses.first().map(ToString::to_string);
        (portal.name.clone(), address.unwrap_or_default())
    }

    /// The standing of a sender's account, to decide about one more request of `size` octets.
    fn standing(
        &self,
        address: &EmailAddress,
        portal: &PortalName,
        size: u64,
    ) -> Result<Option<AccountStanding>, CommandError> {
        let Some(store) = &self.context.store else {
            return Ok(None);
        };
        let account = self.account(address)?;
        let Some(account) = account.filter(|account| !account.placeholder) else {
            return Ok(None);
        };
        let quota = self.context.config.quota;
        let standing = try_address::standing_of(store, quota, &account, portal, size);
        Ok(Some(self.runtime.block_on(standing)?))
    }

    fn account(&self, address: &EmailAddress) -> Result<Option<Account>, CommandError> {
        let Some(store) = &self.context.store else {
            return Ok(None);
        };
        let key = address.key();
        let accounts = || self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = accounts().get(&key) {
            return Ok(known.clone());
        }
        let account = self.runtime.block_on(store.customer(address))?;
        accounts().insert(key, account.clone());
        Ok(account)
    }
}
