//! The nouns of the product. Nothing here reads a file or a socket, and only new ids read the clock.
//!
//! Validated values have types with private fields and one constructor. States are enums, and only the
//! operations of [`crate::store`] change them.

mod account;
mod actor;
mod address;
mod api_schema;
pub mod canary;
mod domain_name;
mod envelope;
mod group;
mod hex;
mod hook_event;
mod ids;
mod invisible;
mod join_items;
mod keywords;
mod language;
mod later;
mod mailbox_key;
mod message_link;
mod names;
mod network;
mod operator;
mod pattern;
mod pattern_list;
mod prefix;
pub mod public_suffix;
mod request_state;
mod text_type;
mod token;
mod totp;
mod verdict;
mod verification_mail;
mod vocabulary;

pub use account::{Account, AccountKind, AccountOrigin, AccountStatus, NewAccount};
pub use actor::{Actor, Interface, VerificationMethod};
pub use address::{AddressError, EmailAddress};
pub use domain_name::{Domain, DomainError};
pub use envelope::{Envelope, ForwardedClient, Recipient, RecipientRole, ReversePath};
pub use group::{GroupName, GroupNameError};
pub use hex::to_hex;
pub use hook_event::{EventPattern, EventPatternError, HOOK_EVENTS};
pub use ids::{AccountId, HookCallId, IdError, LedgerId, MailId, RequestId, UserId};
pub use invisible::{is_bidi_control, is_visible};
pub use join_items::join;
pub(crate) use keywords::keywords;
pub use language::{BUILT_IN_LANGUAGES, LanguagePriority, LanguageTag, LanguageTagError};
pub use later::later;
pub use mailbox_key::{AddressDelimiters, MailboxKey};
pub use message_link::LinkKey;
pub use names::{DestinationName, NameError, OperatorName, PortalName};
pub use network::{
    IPV6_NETWORKS, client_networks, is_loopback_host, is_private_address, is_this_machine,
    parse_address,
};
pub use operator::{Password, PasswordError, PasswordHash, Role, TokenScope};
pub use pattern::{DomainPattern, PatternError};
pub use pattern_list::PatternList;
pub use prefix::strip_prefix_any_case;
pub use request_state::{RequestState, Transition};
pub use token::{ReplyToken, Token, TokenError, TokenHash};
pub use totp::{RECOVERY_CODES, RecoveryCode, SecondFactorCode, TotpKey};
pub use verdict::{Class, Reason, Verdict};
pub use verification_mail::{MailCause, MailKind, QueuedMailState};
pub use vocabulary::Vocabulary;

/// An instant in UTC, stored in milliseconds and shown as RFC 3339.
pub use jiff::Timestamp;
