//! `[digest]`: the daily mail that tells operators what they should know.

use jiff::civil::Time;
use lettre::message::Mailbox;

use crate::config::Digest;
use crate::config::document::TomlSection;
use crate::config::sections::site::Languages;
use crate::domain::LanguageTag;

/// `None` without a recipient.
pub(super) fn read<'d>(
    section: &TomlSection<'d>,
    languages: &mut Languages<'d>,
    site_language: &LanguageTag,
    operators_url: String,
) -> Option<Digest> {
    let to = section.list("to", mailbox);
    let at = section
        .entry("at")
        .and_then(|entry| entry.parse(time_of_day));
    let language = languages.read(section);
    let url = section
        .entry("url")
        .and_then(|entry| entry.parse_unless_empty(web_address));
    if to.is_empty() {
        return None;
    }
    Some(Digest {
        to,
        at: at.unwrap_or(Time::constant(7, 0, 0, 0)),
        language: language.unwrap_or_else(|| site_language.clone()),
        url: url.unwrap_or(operators_url),
    })
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an address; write \"ops@corp.example\" or \"Operators <ops@corp.example>\"")
    })
}

/// An hour and a minute.
fn time_of_day(text: &str) -> Result<Time, String> {
    let refuse = || format!("{text:?} is not a time of day; write \"07:00\"");
    let (hour, minute) = text.split_once(':').ok_or_else(refuse)?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return Err(refuse());
    }
    let parse = |part: &str| part.parse::<i8>().map_err(|_| refuse());
    Time::new(parse(hour)?, parse(minute)?, 0, 0).map_err(|_| refuse())
}

/// An address of the operators' pages, without the slash at its end.
fn web_address(text: &str) -> Result<String, String> {
    let refuse = || format!("{text:?} is not an address; write \"https://admin.corp.example\"");
    let parsed = url::Url::parse(text).map_err(|_| refuse())?;
    let is_good = matches!(parsed.scheme(), "http" | "https")
        && parsed.has_host()
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty();
    if is_good {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(refuse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_has_two_digits_twice() {
        for (text, good) in [
            ("07:00", true),
            ("23:59", true),
            ("24:00", false),
            ("7:00", false),
            ("07:60", false),
            ("07.00", false),
            ("07:00:00", false),
            ("", false),
        ] {
            assert_eq!(time_of_day(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn links_lead_to_a_web_address() {
        for (text, good) in [
            ("https://admin.corp.example", true),
            ("http://127.0.0.1:8081/", true),
            ("admin.corp.example", false),
            ("javascript:alert(1)", false),
            ("https://admin.corp.example/?x=1", false),
        ] {
            assert_eq!(web_address(text).is_ok(), good, "{text}");
        }
    }
}
