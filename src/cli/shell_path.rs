//! Paths in commands that a person copies into a shell.

use std::path::Path;

/// Quotes a path for a POSIX shell if necessary.
pub fn quote_for_shell(path: &Path) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,%".contains(c);
    let word = path.display().to_string();
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/usr/bin/vestibule", "/usr/bin/vestibule"),
            (
                "/home/ann/my tools/vestibule",
                "'/home/ann/my tools/vestibule'",
            ),
            ("/home/d'arcy/$x", r"'/home/d'\''arcy/$x'"),
            ("", "''"),
        ] {
            assert_eq!(quote_for_shell(Path::new(path)), word);
        }
    }
}
