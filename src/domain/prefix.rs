//! Prefixes without regard to case, as the protocols of mail write keywords.

/// The text after a prefix, in whatever ASCII case it is written.
#[must_use]
pub fn strip_prefix_any_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
