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

/// The most similar known name: at most three edits away, fewer for a short one.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= (other.len().min(name.len()) / 3).min(3))
        .min()
        .map(|(_, other)| other)
}
