//! The filter of lists by time: the fields `since` and `until`, each a day in the zone of the site, or an
//! instant as links have it. The day of `until` belongs to the period.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::error::Error;
use super::form_fields::Fields;
use crate::domain::Timestamp;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub since: Option<Timestamp>,
    /// End of the period, exclusive.
    pub until: Option<Timestamp>,
    /// The days, for the fields.
    pub since_date: Option<String>,
    pub until_date: Option<String>,
}

impl Period {
    pub fn read(fields: &Fields, zone: &TimeZone) -> Result<Self, Error> {
        let since = fields.read("since", |text| begin_of(text, zone, 0))?;
        let until = fields.read("until", |text| begin_of(text, zone, 1))?;
        let day = |at: Timestamp| at.to_zoned(zone.clone()).date().to_string();
        Ok(Self {
            since,
            until,
            since_date: since.map(day),
            // The last instant of the period.
            until_date: until
                .and_then(|until| until.checked_sub(jiff::SignedDuration::from_nanos(1)).ok())
                .map(day),
        })
    }
}

/// An instant, or midnight of a day and `days` later.
fn begin_of(text: &str, zone: &TimeZone, days: i64) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let day: Date = text.parse().ok()?;
    let day = day
        .checked_add(jiff::Span::new().try_days(days).ok()?)
        .ok()?;
    Some(day.to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_site_and_the_last_belongs_to_it() {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        for (text, days, expected) in [
            ("2026-11-28", 0, Some("2026-11-27T23:00:00Z")),
            ("2026-11-28", 1, Some("2026-11-28T23:00:00Z")),
            // A day of 25 hours.
            ("2026-10-25", 1, Some("2026-10-25T23:00:00Z")),
            ("2026-11-28T10:00:00Z", 1, Some("2026-11-28T10:00:00Z")),
            ("yesterday", 0, None),
            ("9999-12-31", 1, None),
            ("", 0, None),
        ] {
            let found = begin_of(text, &zone, days).map(|at| at.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
