//! The author of a message whose From contains a mailing list's own address.
//!
//! Takes the header and the sender in From. Returns two senders: the one in From for everyone, and the author
//! for portals that own the list. Also tells whether a list put an address into From and nothing names an author.
//! Lists rewrite From to avoid failing the author's DMARC policy: "Ann via IT Help" with the list's address,
//! and Ann's in X-Original-From (Google Groups) or Reply-To (Mailman). Whoever runs the list can name any
//! author, so messages through a foreign list have no usable sender. Only From identifies the list: DMARC
//! vouches for it, while anyone can write the List-Id and List-Post of any list.

use super::header::{Field, Header};
use super::lenient_from::only_mailbox;
use super::mailbox::{AddrSpec, mailboxes};
use super::other_addresses::{has_other_address, other_address};
use super::sender::{appended_line, author, usable};
use super::{ListAuthor, Sender, SenderFault};
use crate::domain::{Domain, Envelope};

/// Maximum number of addresses in Reply-To, which names the author, the list, and hardly anyone else.
const MAX_REPLY_TO: usize = 4;

/// Suffixes of a list's name in its administrative addresses.
const ROLES: [&str; 11] = [
    "-admin",
    "-bounce",
    "-bounces",
    "-confirm",
    "-editor",
    "-join",
    "-leave",
    "-owner",
    "-request",
    "-subscribe",
    "-unsubscribe",
];

/// The sender, and the author if a list rewrote From.
pub(super) struct Resolved {
    pub(super) sender: Sender,
    pub(super) author_behind_list: Option<ListAuthor>,
    /// From is an address of the list or made up by it, and no field that counts names an author.
    pub(super) from_is_list: bool,
}

/// Finds the author if a list rewrote From.
pub(super) fn resolve(header: &Header, envelope: &Envelope, from: Sender) -> Resolved {
    let unchanged = |sender: Sender, from_is_list: bool| Resolved {
        sender,
        author_behind_list: None,
        from_is_list,
    };
    let Some(address) = from.address().map(ToString::to_string) else {
        return unchanged(from, false);
    };
    let is_list = |other: &str| other.eq_ignore_ascii_case(&address);
    let ids = super::bulk::list_ids(header);
    let list = ids.iter().find(|id| is_list(&address_of(id)));
    if list.is_none() && !posts_to(header, &is_list) {
        let of_list = ids.iter().any(|id| is_of_list(&address, &address_of(id)));
        let is_replaced = !ids.is_empty() && is_made_up(&address);
        return unchanged(from, of_list || is_replaced);
    }
    // A list may direct replies to its subscriber, which is us and not an author.
    let ours = |other: &str| {
        let mut recipients = envelope.recipients.iter();
        recipients.any(|recipient| recipient.address.eq_ignore_ascii_case(other))
    };
    let of_list = |other: &str| is_of_list(other, &address) || ours(other);
    let Some((field, author)) = author_given(header, &of_list) else {
        // A list that writes in its own name, as newsletters do.
        return unchanged(from, true);
    };
    let listed = Sender::Unusable {
        fault: SenderFault::Ambiguous(
            "a mailing list replaced the author with its own address".to_owned(),
        ),
        written: from.addr_spec().map(str::to_owned),
    };
    let list = list.cloned();
    Resolved {
        sender: listed,
        author_behind_list: list.map(|list| ListAuthor {
            list,
            author,
            field: field.to_owned(),
        }),
        from_is_list: false,
    }
}

/// Address of a list: by convention, the first dot of its identifier stands for the @.
fn address_of(list_id: &str) -> String {
    list_id.replacen('.', "@", 1)
}

/// True for an address of the list itself: its posting address, with or without a detail, or one of its
/// administrative addresses (RFC 2142 6).
fn is_of_list(address: &str, list: &str) -> bool {
    let address = address.to_ascii_lowercase();
    let list = list.to_ascii_lowercase();
    let (Some((local, domain)), Some((name, home))) =
        (address.rsplit_once('@'), list.rsplit_once('@'))
    else {
        return false;
    };
    let Some(rest) = local.strip_prefix(name).filter(|_| domain == home) else {
        return false;
    };
    let role = rest.split(['+', '=']).next().unwrap_or_default();
    role.is_empty() || ROLES.contains(&role)
}

/// True for an address that lists make up for an author whose DMARC policy forbids their own:
///
/// - LISTSERV: `000003c1-dmarc-request@lists.corp.example`
/// - groups.io, and with `=40` for the `@` the IETF: `ann=corp.example@groups.io`
/// - Apache's ezmlm and others: `ann@corp.example.INVALID`, in a domain that does not exist (RFC 6761 6.4)
fn is_made_up(address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let author_domain = local.rsplit_once('=').map(|(_, domain)| domain);
    local.ends_with("-dmarc-request")
        || domain.ends_with(".invalid")
        || author_domain
            .is_some_and(|name| Domain::parse(name).is_ok_and(|domain| !domain.is_dotless()))
}

/// True if From is the posting address according to the message (RFC 2369 3.4).
fn posts_to(header: &Header, is_list: &impl Fn(&str) -> bool) -> bool {
    header.all("List-Post").any(|field| {
        let text = field.text();
        text.split('<')
            .filter_map(|rest| rest.split('>').next())
            .filter_map(|uri| uri.trim().strip_prefix("mailto:"))
            .any(|address| is_list(address.split('?').next().unwrap_or_default()))
    })
}

/// The author, and the name of the field that names them.
fn author_given(
    header: &Header,
    is_list: &impl Fn(&str) -> bool,
) -> Option<(&'static str, Sender)> {
    let original = "X-Original-From";
    match only(header, original) {
        Some(Ok(field)) => Some((original, author(&field))),
        Some(Err(fault)) => Some((original, Sender::unusable(fault))),
        None => {
            let sender = match only(header, "Reply-To")? {
                Ok(field) => other_than(&field, is_list)?,
                Err(fault) => Sender::unusable(fault),
            };
            Some(("Reply-To", sender))
        }
    }
}

/// The only field of a name, if there is exactly one and no program appends the next line to it.
fn only<'a>(header: &Header<'a>, name: &'static str) -> Option<Result<Field<'a>, SenderFault>> {
    let mut fields = header.all(name);
    let first = fields.next()?;
    Some(match fields.next() {
        None if header.may_be_extended(name) => Err(appended_line()),
        None => Ok(first),
        Some(_) => Err(SenderFault::SeveralFields),
    })
}

/// The single address besides the list's own; None if there is only the list's.
fn other_than(field: &Field, is_list: &impl Fn(&str) -> bool) -> Option<Sender> {
    let is_seen = field.certain && !field.is_obsolete;
    let value = field.unfold();
    let found = match mailboxes(&value, MAX_REPLY_TO) {
        Ok(found) => found,
        Err(fault) => {
            return match only_mailbox(&value) {
                Some(address) if is_list(&address.addr_spec()) => None,
                Some(address) if is_seen => Some(usable(&address, true)),
                _ => Some(Sender::unusable(fault)),
            };
        }
    };
    let others: Vec<&AddrSpec> = found
        .iter()
        .filter(|address| !is_list(&address.addr_spec()))
        .collect();
    match others[..] {
        [] => None,
        [_] if has_other_address(field, &value, &found) => Some(Sender::unusable(other_address())),
        [one] if is_seen => Some(usable(one, false)),
        _ => Some(Sender::unusable(SenderFault::SeveralAuthors)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sender::sender;
    use super::*;
    use crate::domain::{Recipient, RecipientRole, ReversePath};

    const NONE: &str = "no usable sender";

    fn envelope() -> Envelope {
        let mut envelope = Envelope::of_file(ReversePath::Unknown);
        envelope.recipients.push(Recipient {
            address: "desk@corp.example".to_owned(),
            role: RecipientRole::Bounces,
        });
        envelope
    }

    const LIST: &str = "it-help.groups.corp.example";

    /// The sender, and the list with its author.
    fn read(raw: &str) -> (String, Option<(String, String)>) {
        let header = Header::of(raw.as_bytes());
        let resolved = resolve(&header, &envelope(), sender(&header));
        let (sender, behind) = (resolved.sender, resolved.author_behind_list);
        let summarize = |sender: &Sender| match sender.address() {
            Some(address) => address.to_string(),
            None => NONE.to_owned(),
        };
        let behind = behind.map(|behind| (behind.list, summarize(&behind.author)));
        (summarize(&sender), behind)
    }

    #[test]
    fn the_author_is_found_behind_the_list() {
        let from = "From: \"'Ann' via IT Help\" <it-help@groups.corp.example>\r\n";
        let id = "List-Id: <it-help.groups.corp.example>\r\n";
        let other = "List-Id: <users.corp.example>\r\n";
        let ann = "ann@corp.example";
        for (fields, author) in [
            (
                format!("{id}X-Original-From: Ann <ann@corp.example>\r\n"),
                ann,
            ),
            (format!("{other}{id}Reply-To: <ann@corp.example>\r\n"), ann),
            (
                format!("{id}Reply-To: ann@corp.example, it-help@groups.corp.example\r\n"),
                ann,
            ),
            (
                format!("{id}Reply-To: ann@corp.example, bob@corp.example\r\n"),
                NONE,
            ),
            (
                format!("{id}Reply-To: a@corp.example\r\nReply-To: b@corp.example\r\n"),
                NONE,
            ),
            (format!("{id}X-Original-From: Ann\r\n"), NONE),
            (format!("{id}X-Original-From : ann@corp.example\r\n"), NONE),
            (
                format!("{id}X-Original-From: ann@corp.example\r\n.x.example\r\n"),
                NONE,
            ),
            (
                format!("{id}Reply-To: ann@corp.example\r\n, eve@x.example\r\n"),
                NONE,
            ),
            (
                format!("{id}X-Original-From: \"<eve@x.example>\" <ann@corp.example>\r\n"),
                NONE,
            ),
            (format!("{id}Reply-To : ann@corp.example\r\n"), NONE),
            (
                format!("{id}Reply-To : Lee, Ann <ann@corp.example>\r\n"),
                NONE,
            ),
            (
                format!(
                    "{id}Reply-To: \"Ann\r\n Lee\" <ann@corp.example>, it-help@groups.corp.example\r\n"
                ),
                ann,
            ),
            (
                format!("{id}Reply-To: \"eve@x.example\" [y] <ann@corp.example>\r\n"),
                NONE,
            ),
        ] {
            assert_eq!(
                read(&format!("{from}{fields}")),
                (NONE.to_owned(), Some((LIST.to_owned(), author.to_owned()))),
                "{fields}"
            );
        }
    }

    #[test]
    fn only_the_identifier_that_is_the_address_in_from_vouches() {
        let post = "List-Post: <https://x.example/post>, <mailto:X@Evil.example>\r\n";
        let author = "X-Original-From: ann@corp.example\r\n";
        for id in [
            "",
            "List-Id: <it-help.groups.corp.example>\r\n",
            "List-Id: <x.evil.example.groups.corp.example>\r\n",
            "List-Id: <evil.example>\r\n",
        ] {
            let raw = format!("From: x@evil.example\r\n{id}{post}{author}");
            assert_eq!(read(&raw), (NONE.to_owned(), None), "{id}");
        }
        let ours = format!("List-Id: <{LIST}>\r\n");
        let raw = format!("From: x@evil.example\r\n{ours}List-Id: <x.evil.example>\r\n{author}");
        let behind = ("x.evil.example".to_owned(), "ann@corp.example".to_owned());
        assert_eq!(read(&raw), (NONE.to_owned(), Some(behind)));
    }

    #[test]
    fn without_a_rewritten_from_nothing_else_counts() {
        for fields in [
            "X-Original-From: ceo@corp.example\r\n",
            "List-Id: <it.corp.example>\r\nX-Original-From: ceo@corp.example\r\n",
            "Reply-To: ceo@corp.example\r\n",
            // A list that writes in its own name.
            "List-Id: <ann.corp.example>\r\n",
            "List-Id: <ann.corp.example>\r\nReply-To: ann@corp.example\r\n",
        ] {
            let raw = format!("From: ann@corp.example\r\n{fields}");
            assert_eq!(
                read(&raw),
                ("ann@corp.example".to_owned(), None),
                "{fields}"
            );
        }
    }

    #[test]
    fn a_list_that_names_no_author_is_not_the_author() {
        let is_list = |raw: &str| {
            let header = Header::of(raw.as_bytes());
            let resolved = resolve(&header, &envelope(), sender(&header));
            assert_eq!(resolved.author_behind_list, None, "{raw}");
            resolved.from_is_list
        };
        let id = "List-Id: IT <it.lists.corp.example>\r\nCc: Ann <ann@corp.example>\r\n";
        for fields in [
            "From: it@lists.corp.example\r\n",
            "From: it@lists.corp.example\r\nReply-To: it@lists.corp.example\r\n",
            "From: it@lists.corp.example\r\nReply-To: IT <IT@Lists.Corp.Example>, it-owner@lists.corp.example\r\n",
            "From: it@lists.corp.example\r\nReply-To: it+ab12@lists.corp.example\r\n",
            "From: it@lists.corp.example\r\nReply-To: IT <Desk@corp.example>\r\n",
            "From: it-bounces@lists.corp.example\r\n",
            "From: it-bounces+ann=corp.example@lists.corp.example\r\nReply-To: ann@corp.example\r\n",
            "From: desk@corp.example\r\nList-Post: <mailto:desk@corp.example>\r\n",
            "From: 000003c1-dmarc-request@LISTS.CORP.EXAMPLE\r\n",
            "From: Ann via groups.io <ann=corp.example@groups.io>\r\n",
            "From: ann=corp.example@groups.io\r\nX-Original-From: ann@corp.example\r\n",
            "From: a=b=corp.example@groups.io\r\nReply-To: it@lists.corp.example\r\n",
            "From: ann=40corp.example@dmarc.lists.example\r\n",
            "From: ann@corp.example.INVALID\r\n",
        ] {
            assert!(is_list(&format!("{id}{fields}")), "{fields}");
        }
        for fields in [
            "From: ann=corp.example@groups.io\r\n",
            "From: 000003c1-dmarc-request@lists.corp.example\r\n",
        ] {
            assert!(!is_list(fields), "without a list: {fields}");
        }
        for fields in [
            "From: ann@corp.example\r\n",
            "From: ann=lee@corp.example\r\n",
            "From: corp.example=ann@corp.example\r\n",
            "From: ann=corp..example@corp.example\r\n",
            "From: ann=@corp.example\r\n",
            "From: dmarc-request@corp.example\r\n",
            "From: ann@invalid.corp.example\r\n",
            "From: it-bob@lists.corp.example\r\n",
            "From: it@corp.example\r\n",
        ] {
            assert!(!is_list(&format!("{id}{fields}")), "{fields}");
        }
    }
}
