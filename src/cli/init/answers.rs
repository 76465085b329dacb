//! The questions of `init` and their default answers.

use std::path::PathBuf;

use lettre::message::Mailbox as Author;

use super::{Domain, DomainPattern, EmailAddress};
use crate::config::{SmtpUrl, name_of_this_machine};
use crate::domain::PortalName;

/// All answers, validated as the configuration validates them.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub hostname: Domain,
    pub portal: PortalName,
    pub title: String,
    /// `None`: `help@` the domain.
    pub address: Option<EmailAddress>,
    pub hand_over: HandOver,
    /// `None`: `no-reply@` the domain of the portal.
    pub from: Option<EmailAddress>,
    pub outgoing: String,
    pub approved: Vec<DomainPattern>,
    /// True if mail that fails DMARC is dropped.
    pub enforce: bool,
}

/// The destination of requests.
#[derive(Debug, Clone)]
pub(super) enum HandOver {
    Smtp(String),
    Maildir(PathBuf),
}

/// One question; the default may depend on earlier answers.
pub(super) struct Question {
    pub text: &'static str,
    pub default: fn(&Answers) -> String,
    pub take: fn(&mut Answers, &str) -> Result<(), String>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            hostname: name_of_this_machine(),
            portal: PortalName::parse("help").unwrap_or_else(|_| unreachable!("a name")),
            title: "Help Desk".to_owned(),
            address: None,
            hand_over: HandOver::Smtp("smtp://127.0.0.1:2526".to_owned()),
            from: None,
            outgoing: "smtp://127.0.0.1:25".to_owned(),
            approved: Vec::new(),
            enforce: false,
        }
    }
}

impl Answers {
    /// Domain of people's addresses: the hostname without its first label, if enough remains.
    fn domain(&self) -> String {
        match self.hostname.as_str().split_once('.') {
            Some((_, rest)) if rest.contains('.') => rest.to_owned(),
            _ => self.hostname.to_string(),
        }
    }

    pub fn address(&self) -> String {
        match &self.address {
            Some(address) => address.to_string(),
            None => format!("help@{}", self.domain()),
        }
    }

    fn author_address(&self) -> String {
        match (&self.from, &self.address) {
            (Some(from), _) => from.to_string(),
            (None, Some(portal)) => format!("no-reply@{}", portal.domain()),
            (None, None) => format!("no-reply@{}", self.domain()),
        }
    }

    /// The author of verification mail, with the portal's title as the name.
    pub fn author(&self) -> String {
        let address = self.author_address();
        match address.parse() {
            Ok(address) => Author::new(Some(self.title.clone()), address).to_string(),
            Err(_) => address,
        }
    }
}

pub(super) const QUESTIONS: [Question; 9] = [
    Question {
        text: "Name of this machine, for SMTP",
        default: |answers| answers.hostname.to_string(),
        take: |answers, text| {
            answers.hostname = Domain::parse(text).map_err(|cause| cause.to_string())?;
            Ok(())
        },
    },
    Question {
        text: "Short name of the first portal",
        default: |answers| answers.portal.to_string(),
        take: |answers, text| {
            answers.portal = PortalName::parse(text).map_err(|cause| cause.to_string())?;
            Ok(())
        },
    },
    Question {
        text: "Its title, as people see it",
        default: |answers| answers.title.clone(),
        take: |answers, text| {
            if text.contains(char::is_control) {
                return Err("a title is one line of text".to_owned());
            }
            text.clone_into(&mut answers.title);
            Ok(())
        },
    },
    Question {
        text: "Its email address",
        default: Answers::address,
        take: |answers, text| {
            answers.address = Some(address(text)?);
            Ok(())
        },
    },
    Question {
        text: "Where its requests go, smtp://HOST:PORT or the path of a Maildir",
        default: |answers| match &answers.hand_over {
            HandOver::Smtp(url) => url.clone(),
            HandOver::Maildir(path) => path.display().to_string(),
        },
        take: |answers, text| {
            answers.hand_over = if text.starts_with('/') {
                HandOver::Maildir(text.into())
            } else {
                HandOver::Smtp(smtp_url(text)?)
            };
            Ok(())
        },
    },
    Question {
        text: "Address that verification mail comes from",
        default: Answers::author_address,
        take: |answers, text| {
            answers.from = Some(address(text)?);
            Ok(())
        },
    },
    Question {
        text: "Server that sends verification mail",
        default: |answers| answers.outgoing.clone(),
        take: |answers, text| {
            answers.outgoing = smtp_url(text)?;
            Ok(())
        },
    },
    Question {
        text: "Domains of your own people, with commas between, or none",
        default: |_| "none".to_owned(),
        take: |answers, text| {
            answers.approved = match text {
                "none" => Vec::new(),
                text => text
                    .split(',')
                    .map(|pattern| DomainPattern::parse(pattern).map_err(|cause| cause.to_string()))
                    .collect::<Result<_, _>>()?,
            };
            Ok(())
        },
    },
    Question {
        text: "Mail that fails its domain's DMARC policy may be forged: enforce the policy and drop \
               it, or report it only",
        default: |answers| if answers.enforce { "enforce" } else { "report" }.to_owned(),
        take: |answers, text| {
            answers.enforce = match text {
                "enforce" => true,
                "report" => false,
                _ => return Err("answer enforce or report".to_owned()),
            };
            Ok(())
        },
    },
];

fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|cause| cause.to_string())
}

fn smtp_url(text: &str) -> Result<String, String> {
    SmtpUrl::parse(text)?;
    Ok(text.to_owned())
}
