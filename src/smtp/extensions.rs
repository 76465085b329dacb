//! Extensions that mailin's grammar lacks: the reply to EHLO, and the paths and parameters of MAIL and RCPT.
//!
//! Takes the argument of a command; returns its content, or the reply that refuses it. Afterwards mailin
//! checks the order of commands.

use super::path;
use super::reply::Reply;
use super::settings::ServerSettings;
use super::xforward;
use crate::domain::{ReversePath, strip_prefix_any_case};

/// Lines of the reply to EHLO after the hostname.
#[must_use]
pub fn ehlo_lines(settings: &ServerSettings, tls_active: bool) -> Vec<String> {
    let mut lines = vec![
        "PIPELINING".to_owned(),
        format!("SIZE {}", settings.max_message_size),
        "8BITMIME".to_owned(),
        "SMTPUTF8".to_owned(),
        "ENHANCEDSTATUSCODES".to_owned(),
        format!("XFORWARD {}", xforward::ATTRIBUTES.join(" ")),
    ];
    if settings.tls.is_some() && !tls_active {
        lines.push("STARTTLS".to_owned());
    }
    lines
}

/// Argument of MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailParameters {
    pub reverse_path: ReversePath,
    /// Message size that the client declares (RFC 1870).
    pub size: Option<u64>,
    pub smtputf8: bool,
}

impl MailParameters {
    /// Parses `FROM:<path>` and its parameters.
    ///
    /// # Errors
    /// The reply that names the mistake.
    pub fn read(argument: &str) -> Result<Self, Reply> {
        let path = strip_prefix_any_case(argument, "FROM:").ok_or(Reply::Arguments)?;
        let (mailbox, parameters) = path::split(path).ok_or(Reply::SenderSyntax)?;
        let mut mail = Self {
            reverse_path: if mailbox.is_empty() {
                ReversePath::Null
            } else {
                ReversePath::Mailbox(mailbox.to_owned())
            },
            size: None,
            smtputf8: false,
        };
        let mut body_given = false;
        for parameter in parameters.split_ascii_whitespace() {
            let (keyword, value) = match parameter.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (parameter, None),
            };
            match (keyword.to_ascii_uppercase().as_str(), value) {
                ("SIZE", Some(value)) if mail.size.is_none() => {
                    mail.size = Some(octets(value).ok_or(Reply::Arguments)?);
                }
                // RFC 6152. The declaration makes no difference: 8-bit octets always stay unchanged.
                ("BODY", Some(value)) if !body_given && is_body(value) => body_given = true,
                ("SMTPUTF8", None) if !mail.smtputf8 => mail.smtputf8 = true,
                ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(Reply::Arguments),
                _ => return Err(Reply::UnknownParameter),
            }
        }
        if mailbox.is_ascii() || mail.smtputf8 {
            Ok(mail)
        } else {
            Err(Reply::NeedsSmtpUtf8)
        }
    }
}

/// Parses `TO:<path>`. We offer no extension with parameters here.
///
/// # Errors
/// The reply that names the mistake.
pub fn recipient(argument: &str) -> Result<&str, Reply> {
    let path = strip_prefix_any_case(argument, "TO:").ok_or(Reply::Arguments)?;
    match path::split(path) {
        None | Some(("", _)) => Err(Reply::RecipientSyntax),
        Some((mailbox, "")) => Ok(mailbox),
        Some(_) => Err(Reply::UnknownParameter),
    }
}

/// RFC 1870 4: up to twenty digits. A value beyond a `u64` exceeds every limit.
fn octets(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn is_body(value: &str) -> bool {
    value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_with_its_parameters() {
        let mailbox = |text: &str| ReversePath::Mailbox(text.to_owned());
        for (argument, reverse_path, size, smtputf8) in [
            ("FROM:<>", ReversePath::Null, None, false),
            ("from:<a@b.example>", mailbox("a@b.example"), None, false),
            (
                "FROM: <a@b.example> size=100 body=8BitMime",
                mailbox("a@b.example"),
                Some(100),
                false,
            ),
            (
                "FROM:<dörte@b.example> SmtpUtf8 BODY=7BIT",
                mailbox("dörte@b.example"),
                None,
                true,
            ),
            (
                "FROM:<> SIZE=99999999999999999999",
                ReversePath::Null,
                Some(u64::MAX),
                false,
            ),
        ] {
            let mail = MailParameters {
                reverse_path,
                size,
                smtputf8,
            };
            assert_eq!(MailParameters::read(argument), Ok(mail), "{argument}");
        }
    }

    #[test]
    fn mail_that_is_refused() {
        for (argument, reply) in [
            ("", Reply::Arguments),
            ("<a@b.example>", Reply::Arguments),
            ("FROM:a@b.example", Reply::SenderSyntax),
            ("FROM:<a@b.example", Reply::SenderSyntax),
            ("FROM:<dörte@b.example>", Reply::NeedsSmtpUtf8),
            ("FROM:<> SIZE", Reply::Arguments),
            ("FROM:<> SIZE=", Reply::Arguments),
            ("FROM:<> SIZE=-1", Reply::Arguments),
            ("FROM:<> SIZE=1 SIZE=2", Reply::Arguments),
            ("FROM:<> SIZE=000000000000000000001", Reply::Arguments),
            ("FROM:<> BODY", Reply::Arguments),
            ("FROM:<> BODY=7BIT BODY=7BIT", Reply::Arguments),
            ("FROM:<> BODY=BINARYMIME", Reply::Arguments),
            ("FROM:<> SMTPUTF8 SMTPUTF8", Reply::Arguments),
            ("FROM:<> SMTPUTF8=yes", Reply::Arguments),
            ("FROM:<> RET=HDRS", Reply::UnknownParameter),
            ("FROM:<> AUTH=<>", Reply::UnknownParameter),
            ("FR\u{f6}M:<>", Reply::Arguments),
        ] {
            assert_eq!(MailParameters::read(argument), Err(reply), "{argument}");
        }
    }

    #[test]
    fn recipients() {
        assert_eq!(recipient("TO:<it@corp.example>"), Ok("it@corp.example"));
        assert_eq!(recipient("to: <Postmaster>"), Ok("Postmaster"));
        assert_eq!(recipient("TO:<>"), Err(Reply::RecipientSyntax));
        assert_eq!(recipient("TO:it@corp.example"), Err(Reply::RecipientSyntax));
        assert_eq!(
            recipient("TO:<it@corp.example> NOTIFY=NEVER"),
            Err(Reply::UnknownParameter)
        );
        assert_eq!(recipient("FROM:<it@corp.example>"), Err(Reply::Arguments));
    }
}
