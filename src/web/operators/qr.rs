//! In: a text. Out: its QR code as inline SVG, since the pages have no scripts and a picture of a secret should
//! have no URL.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code (ISO/IEC 18004 6.3.8).
const BORDER: i32 = 4;

/// Markup of the picture. None for a text that is too long for any code.
pub(super) fn draw(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in 0..code.size() {
            if code.get_module(x, y) {
                let _ = write!(path, "M{},{}h1v1h-1z", x + BORDER, y + BORDER);
            }
        }
    }
    let size = code.size() + 2 * BORDER;
    // The colours are part of the code: not every camera reads light on dark.
    Some(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {size} {size}\" role=\"img\" \
         aria-label=\"QR code for an authenticator\" shape-rendering=\"crispEdges\">\
         <rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_nothing_but_squares() {
        let picture = draw("otpauth://totp/\"><script>?secret=A&issuer=B").expect("a picture");
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
        assert!(!picture.contains("script") && !picture.contains("otpauth"));
        assert_eq!(draw(&"x".repeat(5000)), None);
    }
}
