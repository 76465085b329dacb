//! Arguments that are one of a fixed set of words.

/// Makes a parser for the words of an enum, which help and completions list.
pub fn word<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl clap::builder::TypedValueParser<Value = T> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(all.iter().map(|value| name(*value))).try_map(
        move |text| {
            all.iter()
                .copied()
                .find(|value| name(*value) == text)
                .ok_or("no such word")
        },
    )
}
