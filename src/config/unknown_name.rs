//! Names in the file that mean nothing: probably another name with a typing error.

/// Says that a section has no such key. `kind` is the type of a section with a type.
pub(super) fn describe_unknown_key(
    name: &str,
    known: &[&'static str],
    kind: Option<&str>,
) -> String {
    let what = match kind {
        Some(kind) => format!("type {kind} has no such key"),
        None => "there is no such key".to_owned(),
    };
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("{what}; did you mean {meant}?"),
        None => format!("{what}; valid keys: {}", known.join(", ")),
    }
}

/// Maximum edits between a name and the one that is meant.
const MAX_EDITS: usize = 3;

/// The most similar known name: at most three edits away, fewer for a short one.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let length = name.chars().count();
    known
        // Each edit changes the length by one at most. The comparison takes memory for each pair of characters.
        .filter(|other| other.chars().count().abs_diff(length) <= MAX_EDITS)
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= (other.len().min(name.len()) / 3).min(MAX_EDITS))
        .min()
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_compared_with_no_short_one() {
        let begin = std::time::Instant::now();
        let known = ["external.allowed_domains"; 100];
        assert_eq!(nearest(&"x".repeat(1024 * 1024), known.into_iter()), None);
        // If it were compared, this would take minutes, and 200 MiB for each name.
        let limit = std::time::Duration::from_secs(30);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
        for (written, meant) in [
            ("alowed_domains", Some("allowed_domains")),
            ("allowed_domainsss", Some("allowed_domains")),
            ("erlaubte_domains", None),
        ] {
            assert_eq!(nearest(written, ["allowed_domains"].into_iter()), meant);
        }
    }
}
