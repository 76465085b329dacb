//! Answers that a browser saves under a safe name, and never opens.

use std::fmt::Write;

use axum::response::Response;

use crate::web::attachment;
use crate::web::display::one_line;

/// A file name in one line. If it is truncated, its extension stays, since that decides which program opens the
/// file.
pub(super) fn with_ending(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() <= 16 => {
            format!("{}.{}", one_line(stem), one_line(ending))
        }
        _ => one_line(name),
    }
}

/// A file name without folders, leading dots and characters that have a meaning on some system.
pub(super) fn file_name(name: &str) -> String {
    let name = with_ending(name);
    let name: String = name
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%' | ';' => '_',
            c => c,
        })
        .collect();
    name.trim_start_matches(['.', ' ']).to_owned()
}

/// An answer that a browser saves and never opens in place. The name follows RFC 6266, with RFC 8187 for non-ASCII
/// characters.
pub(super) fn save_as(octets: Vec<u8>, name: &str) -> Response {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .collect();
    let mut extended = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            extended.push(char::from(byte));
        } else {
            let _ = write!(extended, "%{byte:02X}");
        }
    }
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
    attachment(octets, "application/octet-stream", &disposition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_leads_nowhere() {
        for (name, safe) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\x\".exe", "C__x_.exe"),
            (".htaccess", "htaccess"),
            ("a\r\nX: y", "a X_ y"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
        ] {
            assert_eq!(file_name(name), safe);
        }
    }

    #[test]
    fn what_is_saved_is_never_opened() {
        let response = save_as(b"<script>".to_vec(), "\u{fc}ber.html");
        let header = |name| &response.headers()[name];
        assert_eq!(header("content-type"), "application/octet-stream");
        assert_eq!(
            header("content-disposition"),
            "attachment; filename=\"_ber.html\"; filename*=UTF-8''%C3%BCber.html"
        );
    }
}
