//! Values that several routes take: page sizes, ages and times.

use std::time::Duration;

use serde::Deserialize;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use crate::config::parse_time;
use crate::domain::{EmailAddress, Timestamp};
use crate::operations::{MAX_BULK_ITEMS, ago};
use crate::store::Page;

/// Maximum number of rows on one page of a list.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Limit(u16);

impl Limit {
    pub const MAX: u16 = 1000;

    pub fn rows(self) -> usize {
        usize::from(self.0)
    }

    /// The page after a cursor.
    pub fn page(self, after: Option<String>) -> Page {
        Page {
            limit: self.rows(),
            after,
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(rows: u32) -> Result<Self, Self::Error> {
        u16::try_from(rows)
            .ok()
            .filter(|rows| (1..=Self::MAX).contains(rows))
            .map(Self)
            .ok_or("limit must be 1 to 1000")
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(1))
            .maximum(Some(Self::MAX))
            .default(Some(100.into()))
            .into()
    }
}

impl ToSchema for Limit {}

/// An age, such as `3d` or `1h30m`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Age(Duration);

impl Age {
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_hours(24 * days))
    }

    /// The time that long ago.
    pub fn ago(self) -> Timestamp {
        ago(self.0)
    }
}

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = |part: &str| {
            (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let plain = text
            .split_terminator(|c: char| c.is_ascii_lowercase())
            .all(digits);
        let wrong = || format!("{text:?} is not a duration; write 90s, 5m, 1h30m or 14d");
        if !plain {
            return Err(wrong());
        }
        parse_time(&text).map(Self).map_err(|_| wrong())
    }
}

impl PartialSchema for Age {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("An age: 90s, 5m, 1h30m, 14d"))
            .min_length(Some(2))
            .pattern(Some(
                "^([0-9]{1,4}d)?([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,4}s)?$",
            ))
            .examples(["3d"])
            .into()
    }
}

impl ToSchema for Age {}

/// A time: RFC 3339, or an age, which counts from now.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PointInTime(Timestamp);

impl PointInTime {
    pub fn days_ago(days: u64) -> Self {
        Self(Age::days(days).ago())
    }

    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl TryFrom<String> for PointInTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Ok(at) = text.parse() {
            return Ok(Self(at));
        }
        let wrong =
            format!("{text:?} is not a time; write 2026-11-28T10:00:00Z, or how long ago: 1h30m");
        let age = Age::try_from(text).map_err(|_| wrong)?;
        Ok(Self(age.ago()))
    }
}

impl PartialSchema for PointInTime {
    fn schema() -> RefOr<Schema> {
        let instant = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        AnyOfBuilder::new()
            .item(instant)
            .item(Age::schema())
            .description(Some("A time (RFC 3339), or how long ago"))
            .examples(["2026-11-28T10:00:00Z", "3d"])
            .into()
    }
}

impl ToSchema for PointInTime {}

/// Parses an address that stands at `place` of a request.
pub(super) fn address(place: &str, text: &str) -> Result<EmailAddress, Problem> {
    EmailAddress::parse(text)
        .map_err(|error| Problem::of_field(place, format_args!("{text:?}: {error}")))
}

/// Checks the number of items of the list that stands at `place` of a request.
pub(super) fn check_number(place: &str, items: usize) -> Result<(), Problem> {
    if (1..=MAX_BULK_ITEMS).contains(&items) {
        return Ok(());
    }
    let detail = format!("{place}: name 1 to {MAX_BULK_ITEMS}");
    Err(Problem::bad_input(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_what_its_pattern_says() {
        for (text, good) in [
            ("3d", true),
            ("1h30m", true),
            ("9999d23h59m59s", true),
            ("0s", true),
            ("", false),
            ("3", false),
            (" 3d", false),
            ("3d ", false),
            ("12345s", false),
            ("1m1h", false),
            ("d", false),
            ("3D", false),
            ("3w", false),
            ("-3d", false),
        ] {
            assert_eq!(Age::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn a_point_in_time_is_a_time_or_an_age() {
        let read = |text: &str| PointInTime::try_from(text.to_owned());
        let at = read("2026-11-28T10:00:00Z").map(|at| at.timestamp().as_second());
        assert_eq!(at, Ok(1_795_860_000));
        let before = Timestamp::now();
        let hour_ago = read("1h").expect("an age").timestamp();
        let minutes = hour_ago.duration_until(before).as_mins();
        assert!((59..=60).contains(&minutes), "{minutes}");
        for text in ["", "yesterday", "2026-11-28", "3"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_limit_is_bounded() {
        for (rows, good) in [
            (0, false),
            (1, true),
            (1000, true),
            (1001, false),
            (u32::MAX, false),
        ] {
            assert_eq!(Limit::try_from(rows).is_ok(), good, "{rows}");
        }
    }
}
