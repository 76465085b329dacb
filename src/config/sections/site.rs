//! `[site]`: the organisation's name and contact, and the format of dates and texts.

use std::convert::Infallible;
use std::path::Path;

use jiff::tz::TimeZone;

use crate::config::document::TomlSection;
use crate::config::entry::TomlEntry;
use crate::config::{Portal, Site};
use crate::domain::{BUILT_IN_LANGUAGES, LanguageTag};

/// Languages that the file names. They are checked once the folder of the operator's own templates is known.
#[derive(Default)]
pub(super) struct Languages<'d>(Vec<(TomlEntry<'d>, LanguageTag)>);

impl<'d> Languages<'d> {
    /// The key `language` of a section.
    pub fn read(&mut self, section: &TomlSection<'d>) -> Option<LanguageTag> {
        let entry = section.entry("language")?;
        let tag = entry.parse_unless_empty(LanguageTag::parse)?;
        self.0.push((entry, tag.clone()));
        Some(tag)
    }

    /// Refuses languages without texts.
    pub fn check(self, templates: Option<&Path>) {
        for (entry, tag) in self.0 {
            let own = format!("texts.{tag}.toml");
            let has_own = templates.is_some_and(|folder| folder.join(&own).is_file());
            if !has_own && !BUILT_IN_LANGUAGES.contains(&tag.as_str()) {
                entry.refuse(format_args!(
                    "there are no texts in {:?}; write one of {}, or put {own} into the folder of \
                     verification.templates",
                    tag.as_str(),
                    BUILT_IN_LANGUAGES.join(", ")
                ));
            }
        }
    }
}

/// An optional text; an empty one counts as absent.
pub(super) fn optional_text(section: &TomlSection<'_>, key: &'static str) -> Option<String> {
    section
        .entry(key)
        .and_then(|entry| entry.parse_unless_empty(|text| Ok::<_, Infallible>(text.to_owned())))
}

/// Reads the section, and copies its contact to the portals without their own.
pub(super) fn read<'d>(
    section: &TomlSection<'d>,
    languages: &mut Languages<'d>,
    portals: &mut [Portal],
) -> Site {
    let first = portals.first().map(|portal| portal.title.clone());
    let contact = optional_text(section, "contact");
    for portal in portals {
        if portal.contact.is_none() {
            portal.contact.clone_from(&contact);
        }
    }
    Site {
        name: optional_text(section, "name").or(first).unwrap_or_default(),
        time_zone: section
            .entry("time_zone")
            .and_then(|entry| entry.parse_unless_empty(time_zone))
            .unwrap_or_else(|| TimeZone::try_system().unwrap_or(TimeZone::UTC)),
        language: languages.read(section).unwrap_or_default(),
        contact,
    }
}

/// A name of the IANA time zone database.
pub(crate) fn time_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| {
        format!(
            "{text:?} is not a time zone; write a name of the IANA database, as in \
             \"Europe/Berlin\" or \"UTC\" (timedatectl list-timezones shows them)"
        )
    })
}
