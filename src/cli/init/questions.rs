//! The questions of `init`. Each is also an option, so that a script can answer it.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Command};

use super::answers::{Answers, DestinationType, Others, dmarc_mode};
use crate::cli::failure::CommandError;
use crate::config::{SmtpUrl, authserv_id, parse_http, parse_public, time_zone};
use crate::domain::{
    BUILT_IN_LANGUAGES, Domain, DomainPattern, EmailAddress, LanguageTag, PortalName, join,
};

/// One question; the default may depend on earlier answers.
pub(super) struct InitQuestion {
    /// The name of the option.
    pub option: &'static str,
    /// The placeholder of its value.
    pub value: &'static str,
    pub text: &'static str,
    /// Lines that explain the answers.
    pub explanation: &'static str,
    /// `None` if the question does not apply, and the earlier answer that it depends on.
    pub default: fn(&Answers) -> Result<String, &'static str>,
    pub take: fn(&mut Answers, &str) -> Result<(), String>,
}

/// Answers given as options, by the option's name.
#[derive(Debug, Clone, Default)]
pub struct GivenAnswers(BTreeMap<&'static str, String>);

impl GivenAnswers {
    pub(super) fn get(&self, question: &InitQuestion) -> Option<&str> {
        self.0.get(question.option).map(String::as_str)
    }

    #[cfg(test)]
    pub(super) fn with(mut self, option: &'static str, answer: &str) -> Self {
        self.0.insert(option, answer.to_owned());
        self
    }
}

impl clap::FromArgMatches for GivenAnswers {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = QUESTIONS.iter().filter_map(|question| {
            let answer: &String = matches.get_one(question.option)?;
            Some((question.option, answer.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for GivenAnswers {
    fn augment_args(command: Command) -> Command {
        let options = QUESTIONS.iter().map(|question| {
            Arg::new(question.option)
                .long(question.option)
                .value_name(question.value)
                .help(question.text)
                .help_heading("Answers")
        });
        command.args(options)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Takes the given answers in the order of the questions, and the others from `ask`, which gets the default.
///
/// # Errors
/// A given answer that is invalid or has no question, and errors of `ask`.
pub(super) fn answer_all(
    given: &GivenAnswers,
    mut ask: impl FnMut(&mut Answers, &InitQuestion, String) -> Result<(), CommandError>,
) -> Result<Answers, CommandError> {
    let mut answers = Answers::default();
    for question in QUESTIONS {
        let wrong = |cause: &str| CommandError::Usage(format!("--{}: {cause}", question.option));
        match ((question.default)(&answers), given.get(question)) {
            (Ok(_), Some(answer)) => {
                (question.take)(&mut answers, answer).map_err(|cause| wrong(&cause))?;
            }
            (Ok(default), None) => ask(&mut answers, question, default)?,
            (Err(needs), Some(_)) => return Err(wrong(needs)),
            (Err(_), None) => {}
        }
    }
    Ok(answers)
}

const QUESTIONS: &[InitQuestion] = &[
    InitQuestion {
        option: "hostname",
        value: "NAME",
        text: "Name of this machine, for SMTP",
        explanation: "",
        default: |answers| Ok(answers.hostname.to_string()),
        take: |answers, text| set(&mut answers.hostname, Domain::parse(text)),
    },
    InitQuestion {
        option: "data-dir",
        value: "FOLDER",
        text: "Folder of the database, which has all accepted mail",
        explanation: "",
        default: |answers| Ok(answers.data_dir.clone()),
        take: |answers, text| {
            if !text.starts_with('/') {
                return Err(format!("{text:?} is not a full path; begin with /"));
            }
            text.clone_into(&mut answers.data_dir);
            Ok(())
        },
    },
    InitQuestion {
        option: "organisation",
        value: "NAME",
        text: "Name of your organisation, as people see it",
        explanation: "",
        default: |answers| Ok(answers.organisation()),
        take: |answers, text| set(&mut answers.organisation, one_line(text).map(Some)),
    },
    InitQuestion {
        option: "language",
        value: "TAG",
        text: "Language of pages and mail for people without a preference",
        explanation: "ar, cs, de, en, es, fr, it, ja, nl, pl, pt-BR, sv or zh-Hans.",
        default: |answers| Ok(answers.language.to_string()),
        take: |answers, text| {
            let tag = LanguageTag::parse(text).map_err(|cause| cause.to_string())?;
            if !BUILT_IN_LANGUAGES.contains(&tag.as_str()) {
                let all = BUILT_IN_LANGUAGES.join(", ");
                return Err(format!(
                    "there are no texts in {text:?}; write one of {all}"
                ));
            }
            answers.language = tag;
            Ok(())
        },
    },
    InitQuestion {
        option: "time-zone",
        value: "ZONE",
        text: "Time zone of dates on pages and in mail",
        explanation: "",
        default: |answers| Ok(answers.time_zone.clone()),
        take: |answers, text| {
            time_zone(text)?;
            text.clone_into(&mut answers.time_zone);
            Ok(())
        },
    },
    InitQuestion {
        option: "contact",
        value: "TEXT",
        text: "Contact for people who cannot get in, or none",
        explanation: "An address, a telephone number or a room; pages and mail name it.",
        default: |answers| Ok(or_none(answers.contact.as_deref())),
        take: |answers, text| {
            let contact = unless_none(text).map(one_line).transpose();
            set(&mut answers.contact, contact)
        },
    },
    InitQuestion {
        option: "public-url",
        value: "URL",
        text: "URL under which people reach the public pages",
        explanation: "Links in mail begin with it: https://help.corp.example, at a proxy with TLS\n\
                      (docs/install.md). The default reaches this machine only.",
        default: |answers| Ok(answers.public_url.clone()),
        take: |answers, text| set(&mut answers.public_url, parse_public(text)),
    },
    InitQuestion {
        option: "portal",
        value: "NAME",
        text: "Short name of the first portal",
        explanation: "A portal is one service that takes requests by mail.",
        default: |answers| Ok(answers.portal.to_string()),
        take: |answers, text| set(&mut answers.portal, PortalName::parse(text)),
    },
    InitQuestion {
        option: "title",
        value: "TEXT",
        text: "Its title, as people see it",
        explanation: "",
        default: |answers| Ok(answers.title.clone()),
        take: |answers, text| set(&mut answers.title, one_line(text)),
    },
    InitQuestion {
        option: "address",
        value: "ADDRESS",
        text: "Its email address",
        explanation: "",
        default: |answers| Ok(answers.address()),
        take: |answers, text| set(&mut answers.address, address(text).map(Some)),
    },
    InitQuestion {
        option: "destination",
        value: "TYPE",
        text: "Where its requests go: smtp, maildir, webhook or command",
        explanation: "",
        default: |answers| Ok(answers.destination.as_str().to_owned()),
        take: |answers, text| {
            let chosen = choice(text, &DestinationType::ALL, DestinationType::as_str);
            set(&mut answers.destination, chosen)
        },
    },
    InitQuestion {
        option: "destination-place",
        value: "PLACE",
        text: "The server, folder, URL or program",
        explanation: "",
        default: |answers| Ok(answers.destination_place()),
        take: |answers, text| {
            let example = answers.destination.example();
            match answers.destination {
                DestinationType::Smtp => {
                    SmtpUrl::parse(text)?;
                }
                DestinationType::Webhook => {
                    parse_http(text)?;
                }
                DestinationType::Maildir | DestinationType::Command => {
                    if !text.starts_with('/') {
                        return Err(format!(
                            "{text:?} is not a full path; write it as in {example}"
                        ));
                    }
                }
            }
            answers.destination_place = Some(text.to_owned());
            Ok(())
        },
    },
    InitQuestion {
        option: "recipient",
        value: "ADDRESS",
        text: "Recipient at that server, or \"same\" for the portal's address",
        explanation: "",
        default: |answers| match answers.destination {
            DestinationType::Smtp => Ok(answers
                .recipient
                .as_ref()
                .map_or_else(|| "same".to_owned(), ToString::to_string)),
            _ => Err("needs --destination smtp"),
        },
        take: |answers, text| {
            answers.recipient = match text {
                "same" => None,
                text => Some(address(text)?),
            };
            Ok(())
        },
    },
    InitQuestion {
        option: "from",
        value: "ADDRESS",
        text: "Address that verification mail comes from",
        explanation: "Not the portal's: a reply would bring the link to the help desk.",
        default: |answers| Ok(answers.from()),
        take: |answers, text| {
            let from = address(text)?;
            if from.to_string().eq_ignore_ascii_case(&answers.address()) {
                return Err(format!("{from} is the portal's own address; write another"));
            }
            answers.from = Some(from);
            Ok(())
        },
    },
    InitQuestion {
        option: "outgoing",
        value: "URL",
        text: "Server that sends verification mail",
        explanation: "",
        default: |answers| Ok(answers.outgoing.clone()),
        take: |answers, text| {
            SmtpUrl::parse(text)?;
            text.clone_into(&mut answers.outgoing);
            Ok(())
        },
    },
    InitQuestion {
        option: "approve",
        value: "DOMAINS",
        text: "Domains of your own people, separated by commas, or none",
        explanation: "They verify their address once by a link; then their mail passes.",
        default: |answers| Ok(answers.format_approved()),
        take: |answers, text| set(&mut answers.approved, patterns(text)),
    },
    InitQuestion {
        option: "others",
        value: "WHO",
        text: "Who else may write: nobody, listed, verified or everyone",
        explanation: "  nobody    only the people above\n  \
                      listed    also the domains and addresses that you list\n  \
                      verified  everyone who verifies the address by a link\n  \
                      everyone  everyone, without verification: spam and forged mail as well",
        default: |answers| Ok(answers.others.as_str().to_owned()),
        take: |answers, text| {
            let chosen = choice(text, &Others::ALL, Others::as_str);
            set(&mut answers.others, chosen)
        },
    },
    InitQuestion {
        option: "allow",
        value: "DOMAINS",
        text: "Domains and addresses that may, separated by commas, or none",
        explanation: "",
        default: |answers| match answers.others {
            Others::Listed => Ok(answers.format_allowed()),
            _ => Err("needs --others listed"),
        },
        take: |answers, text| set(&mut answers.allowed, patterns(text)),
    },
    InitQuestion {
        option: "authserv-id",
        value: "NAME",
        text: "Name in your MTA's Authentication-Results, or none",
        explanation: "If your MTA checks DKIM, SPF and DMARC, Vestibule trusts the field with this\n\
                      name; with none, it checks them itself.",
        default: |answers| Ok(or_none(answers.authserv_id.as_deref())),
        take: |answers, text| {
            let name = unless_none(text).map(authserv_id).transpose();
            set(&mut answers.authserv_id, name)
        },
    },
    InitQuestion {
        option: "dmarc",
        value: "MODE",
        text: "Mail that fails its domain's DMARC policy: report or enforce",
        explanation: "It may be forged. To report it only records the failure; to enforce drops it,\n\
                      recoverably.",
        default: |answers| Ok(dmarc_mode(answers.enforce).to_owned()),
        take: |answers, text| {
            let chosen = choice(text, &[true, false], dmarc_mode);
            set(&mut answers.enforce, chosen)
        },
    },
];

fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|cause| cause.to_string())
}

fn one_line(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) {
        return Err("write one line of text".to_owned());
    }
    Ok(text.to_owned())
}

fn or_none(text: Option<&str>) -> String {
    text.unwrap_or("none").to_owned()
}

fn unless_none(text: &str) -> Option<&str> {
    (!matches!(text, "none" | "")).then_some(text)
}

fn patterns(text: &str) -> Result<Vec<DomainPattern>, String> {
    let Some(text) = unless_none(text) else {
        return Ok(Vec::new());
    };
    text.split(',')
        .map(|pattern| DomainPattern::parse(pattern.trim()).map_err(|cause| cause.to_string()))
        .collect()
}

fn set<T, E: ToString>(answer: &mut T, parsed: Result<T, E>) -> Result<(), String> {
    *answer = parsed.map_err(|cause| cause.to_string())?;
    Ok(())
}

fn choice<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|word| name(*word) == text);
    found.ok_or_else(|| {
        let names = all.iter().map(|word| name(*word));
        format!("answer {}", join(names, " or "))
    })
}
