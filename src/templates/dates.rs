//! Dates in the format of a language, in the zone of the site, with the zone's name.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State};

use super::Language;
use super::texts::Texts;

/// The time zone of a template's dates; its context has it as `zone`.
#[derive(Debug, Clone)]
pub struct Zone(pub TimeZone);

impl Object for Zone {}

/// An instant that a page shows relative to now, with the full time as a title; in the zone of the page.
#[derive(Debug, Clone, Copy)]
pub struct Moment(pub Timestamp);

impl Object for Moment {
    /// An empty map would be false in `if`.
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl Moment {
    /// The value for a context.
    #[must_use]
    pub fn value(self) -> minijinja::Value {
        minijinja::Value::from_object(self)
    }

    /// The full time, to the second: `2025-03-09 15:05:00 CET`.
    pub(super) fn full(self, zone: &Zone) -> String {
        let at = self.0.to_zoned(zone.0.clone());
        format!(
            "{} {}",
            at.strftime("%Y-%m-%d %H:%M:%S"),
            zone.name_at(self.0)
        )
    }

    /// The element `time` of HTML, which says `3 h ago` and has the full time as its title.
    pub(super) fn element(self, zone: &Zone, now: Timestamp) -> String {
        format!(
            "<time datetime=\"{:.0}\" title=\"{}\">{}</time>",
            self.0,
            self.full(zone),
            self.relative(zone, now)
        )
    }

    /// Relative to now within a week, otherwise the day.
    fn relative(self, zone: &Zone, now: Timestamp) -> String {
        let seconds = self.0.as_second() - now.as_second();
        let number = match seconds.unsigned_abs() {
            0..60 if seconds <= 0 => return "just now".to_owned(),
            0..60 => return "in a moment".to_owned(),
            distance @ 60..3600 => format!("{} min", distance / 60),
            distance @ 3600..86_400 => format!("{} h", distance / 3600),
            distance @ 86_400..172_800 => format!("{} day", distance / 86_400),
            distance @ 172_800..604_800 => format!("{} days", distance / 86_400),
            _ => {
                let at = self.0.to_zoned(zone.0.clone());
                let this_year = at.year() == now.to_zoned(zone.0.clone()).year();
                let form = if this_year { "%-d %b" } else { "%-d %b %Y" };
                return at.strftime(form).to_string();
            }
        };
        if seconds < 0 {
            format!("{number} ago")
        } else {
            format!("in {number}")
        }
    }
}

impl Zone {
    /// The zone of a template; UTC by default.
    pub(super) fn of(state: &State) -> Self {
        state
            .lookup("zone")
            .and_then(|value| value.downcast_object::<Self>())
            .map_or(Self(TimeZone::UTC), |zone| Self(zone.0.clone()))
    }

    /// The value for a context.
    #[must_use]
    pub fn value(&self) -> minijinja::Value {
        minijinja::Value::from_object(self.clone())
    }

    /// The short name of the zone at an instant: `CET`, `CEST`. If the zone's name is only an offset, or a
    /// meaningless one (`-00`), the offset: `UTC-03:00`.
    #[must_use]
    fn name_at(&self, instant: Timestamp) -> String {
        let at = instant.to_zoned(self.0.clone());
        let name = at.strftime("%Z").to_string();
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name
        } else {
            at.strftime("UTC%:z").to_string()
        }
    }
}

/// A date and time in the format of a language. A format without `{zone}`, as version 0.1 had it, names UTC
/// itself and is in UTC.
pub(super) fn format_date(
    texts: &Texts,
    language: &Language,
    zone: &Zone,
    instant: Timestamp,
) -> Result<String, Error> {
    let text = |key: &str| {
        texts.get(language, key).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("there is no text {key:?}"),
            )
        })
    };
    let form = text("date.form")?;
    let utc = Zone(TimeZone::UTC);
    let zone = if form.contains("{zone}") { zone } else { &utc };
    let at = instant.to_zoned(zone.0.clone());
    let day = match at.day() {
        1 => text("date.first")?.to_owned(),
        other => other.to_string(),
    };
    Ok(form
        .replace("{day}", &day)
        .replace("{month}", text(&format!("date.month.{}", at.month()))?)
        .replace("{year}", &at.year().to_string())
        .replace("{time}", &at.strftime("%H:%M").to_string())
        .replace("{zone}", &zone.name_at(instant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LanguageTag;

    fn at(zone: &str, instant: &str, language: &str) -> String {
        let texts = Texts::load(None).expect("the built-in texts");
        let language = Language::of(LanguageTag::parse(language).expect("a tag"));
        let zone = Zone(TimeZone::get(zone).expect("a zone"));
        let instant = instant.parse().expect("an instant");
        format_date(&texts, &language, &zone, instant).expect("a date")
    }

    #[test]
    fn a_time_is_true_for_a_template() {
        assert!(Moment(Timestamp::UNIX_EPOCH).value().is_true());
    }

    #[test]
    fn a_moment_is_relative_to_now_within_a_week() {
        let zone = Zone(TimeZone::get("Europe/Berlin").expect("a zone"));
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("an instant");
        for (instant, expected) in [
            ("2026-11-28T12:00:00Z", "just now"),
            ("2026-11-28T11:59:01Z", "just now"),
            ("2026-11-28T12:00:59Z", "in a moment"),
            ("2026-11-28T11:59:00Z", "1 min ago"),
            ("2026-11-28T11:00:01Z", "59 min ago"),
            ("2026-11-28T11:00:00Z", "1 h ago"),
            ("2026-11-27T12:00:01Z", "23 h ago"),
            ("2026-11-27T12:00:00Z", "1 day ago"),
            ("2026-11-21T12:00:01Z", "6 days ago"),
            ("2026-11-21T12:00:00Z", "21 Nov"),
            ("2025-12-31T23:30:00Z", "1 Jan"),
            ("2025-11-27T12:00:00Z", "27 Nov 2025"),
            ("2026-12-01T13:00:00Z", "in 3 days"),
            ("2026-12-24T13:00:00Z", "24 Dec"),
        ] {
            let moment = Moment(instant.parse().expect("an instant"));
            assert_eq!(moment.relative(&zone, now), expected, "{instant}");
        }
        let moment = Moment("2026-11-28T09:00:00.5Z".parse().expect("an instant"));
        assert_eq!(
            moment.element(&zone, now),
            "<time datetime=\"2026-11-28T09:00:00Z\" title=\"2026-11-28 10:00:00 CET\">3 h ago</time>"
        );
    }

    #[test]
    fn an_hour_that_comes_twice_has_two_names() {
        for (zone, instant, expected) in [
            (
                "UTC",
                "2025-03-09T14:05:00Z",
                "9\u{a0}March 2025, 14:05\u{a0}UTC",
            ),
            (
                "Europe/Berlin",
                "2025-10-26T00:30:00Z",
                "26\u{a0}October 2025, 02:30\u{a0}CEST",
            ),
            (
                "Europe/Berlin",
                "2025-10-26T01:30:00Z",
                "26\u{a0}October 2025, 02:30\u{a0}CET",
            ),
            (
                "Europe/Berlin",
                "2025-03-30T00:59:59Z",
                "30\u{a0}March 2025, 01:59\u{a0}CET",
            ),
            (
                "Europe/Berlin",
                "2025-03-30T01:00:00Z",
                "30\u{a0}March 2025, 03:00\u{a0}CEST",
            ),
            (
                "America/Sao_Paulo",
                "2025-01-01T01:00:00Z",
                "31\u{a0}December 2024, 22:00\u{a0}UTC-03:00",
            ),
            (
                "Asia/Kathmandu",
                "2025-12-31T18:15:00Z",
                "1\u{a0}January 2026, 00:00\u{a0}UTC+05:45",
            ),
            (
                "Australia/Lord_Howe",
                "2025-04-05T15:00:00Z",
                "6\u{a0}April 2025, 01:30\u{a0}UTC+10:30",
            ),
            (
                "Etc/GMT+12",
                "2025-01-01T11:00:00Z",
                "31\u{a0}December 2024, 23:00\u{a0}UTC-12:00",
            ),
        ] {
            assert_eq!(at(zone, instant, "en"), expected, "{zone}");
        }
        assert_eq!(
            at("Europe/Berlin", "2025-07-01T10:00:00Z", "de"),
            "1.\u{a0}Juli 2025, 12:00\u{a0}CEST"
        );
    }
}
