//! Lists as text.

use std::fmt::Display;

/// Items as text, with a separator between two.
pub fn join<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}
