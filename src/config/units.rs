//! Sizes and times as people write them: `25MiB`, `1h30m`.

use std::time::Duration;

pub const KIB: u64 = 1024;
pub const MIB: u64 = KIB * KIB;

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_mins(1);
pub const HOUR: Duration = Duration::from_hours(1);
pub const DAY: Duration = Duration::from_hours(24);

/// Maximum duration: longer than any retention, and small enough that adding it to a date cannot overflow.
const MAX_DURATION: Duration = Duration::from_hours(100 * 366 * 24);

/// Units of size, largest first: a size is shown in the largest unit that divides it.
const SIZES: [(&str, u64); 9] = [
    ("TiB", KIB * KIB * KIB * KIB),
    ("TB", 1_000_000_000_000),
    ("GiB", KIB * KIB * KIB),
    ("GB", 1_000_000_000),
    ("MiB", MIB),
    ("MB", 1_000_000),
    ("KiB", KIB),
    ("KB", 1_000),
    ("B", 1),
];

const TIMES: [(&str, Duration); 4] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)];

/// Text that is not a size or a duration; the message shows the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error(
        "{0:?} is not a size; write 25MiB (B, KiB, MiB, GiB, TiB, or KB, MB, GB, TB in thousands)"
    )]
    Size(String),
    #[error("{0:?} is not a duration; write 90s, 5m, 1h30m or 14d")]
    Time(String),
    #[error("{0:?} is longer than 100 years")]
    TooLong(String),
}

/// Parses a size in octets. Case-insensitive; a plain number is octets.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let (number, unit) = number_and_rest(text.trim()).ok_or_else(wrong)?;
    let unit = unit.trim_start();
    let factor = if unit.is_empty() {
        1
    } else {
        SIZES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or_else(wrong)?
            .1
    };
    // The database counts in signed 64 bits.
    number
        .checked_mul(factor)
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(wrong)
}

/// Parses numbers with a unit each, without separators; each unit at most once, the larger first.
pub fn parse_time(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Time(text.to_owned());
    let mut rest = text.trim();
    let mut units = TIMES.iter();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, behind) = number_and_rest(rest).ok_or_else(wrong)?;
        let (unit, factor) = units
            .find(|(unit, _)| behind.starts_with(unit))
            .ok_or_else(wrong)?;
        rest = &behind[unit.len()..];
        total = u32::try_from(number)
            .ok()
            .and_then(|number| factor.checked_mul(number))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= MAX_DURATION)
            .ok_or_else(|| UnitError::TooLong(text.to_owned()))?;
    }
    Ok(total)
}

fn number_and_rest(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Formats a size for [`parse_size`].
#[must_use]
pub fn show_size(octets: u64) -> String {
    let (unit, factor) = SIZES
        .into_iter()
        .find(|(_, factor)| octets >= *factor && octets.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{}{unit}", octets / factor)
}

/// Formats a duration for [`parse_time`], in whole seconds.
#[must_use]
pub fn show_time(time: Duration) -> String {
    let mut seconds = time.as_secs();
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in TIMES {
        let count = seconds / factor.as_secs();
        if count > 0 {
            text += &count.to_string();
            text += unit;
        }
        seconds %= factor.as_secs();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (written, octets, shown) in [
            ("25MiB", 25 * MIB, "25MiB"),
            ("25 mib", 25 * MIB, "25MiB"),
            ("1GiB", 1024 * MIB, "1GiB"),
            ("10KB", 10_000, "10KB"),
            ("2TB", 2_000_000_000_000, "2TB"),
            ("100", 100, "100B"),
            ("0", 0, "0B"),
            ("1536KiB", 1536 * KIB, "1536KiB"),
        ] {
            assert_eq!(parse_size(written), Ok(octets), "{written}");
            assert_eq!(show_size(octets), shown);
            assert_eq!(parse_size(shown), Ok(octets), "{shown}");
        }
        for wrong in [
            "",
            "MiB",
            "-1MiB",
            "1.5MiB",
            "25 parsecs",
            "25M B",
            "9999999999TiB",
            "8388608TiB",
        ] {
            assert_eq!(parse_size(wrong), Err(UnitError::Size(wrong.to_owned())));
        }
    }

    #[test]
    fn times_are_read_and_shown() {
        for (written, seconds, shown) in [
            ("5m", 300, "5m"),
            ("90s", 90, "1m30s"),
            ("1h30m", 5400, "1h30m"),
            ("14d", 14 * 86_400, "14d"),
            ("1d12h", 129_600, "1d12h"),
            ("0s", 0, "0s"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(parse_time(written), Ok(time), "{written}");
            assert_eq!(show_time(time), shown);
            assert_eq!(parse_time(shown), Ok(time), "{shown}");
        }
        for wrong in [
            "",
            "5",
            "m",
            "5 minutes",
            "30m1h",
            "5m5m",
            "-5m",
            "1.5h",
            "5ms",
        ] {
            assert_eq!(parse_time(wrong), Err(UnitError::Time(wrong.to_owned())));
        }
        for long in ["36601d", "4294967295d", "4294967296s"] {
            assert_eq!(parse_time(long), Err(UnitError::TooLong(long.to_owned())));
        }
    }
}
