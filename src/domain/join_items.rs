//! Joins items into one text, such as the names in an error message.

use std::fmt::Display;

/// Joins items as text, with a separator between them.
pub fn join<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}
