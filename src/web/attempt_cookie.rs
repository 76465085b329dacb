//! The cookie that binds an attempt to sign in to one browser.
//!
//! Another site leads back to us, so the cookie is `SameSite=Lax`: it comes with a link, not with a form or a
//! picture. Where we are reached by https, its name begins with `__Host-`, so that no other host of the domain
//! can set one (RFC 6265bis 4.1.3.2).

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use crate::domain::Token;

/// Lifetime in seconds, that of the attempt.
const SECONDS: u32 = 600;

/// A cookie of this name on pages that are reached by https or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptCookie {
    name: &'static str,
    is_secure: bool,
}

impl AttemptCookie {
    /// `is_secure` if browsers reach the pages by https.
    pub fn new(name: &'static str, is_secure: bool) -> Self {
        Self { name, is_secure }
    }

    fn prefix(self) -> &'static str {
        if self.is_secure { "__Host-" } else { "" }
    }

    /// Reads the secret from the cookies. One that is set twice counts as none.
    pub fn read(self, headers: &HeaderMap) -> Option<Token> {
        let own = format!("{}{}", self.prefix(), self.name);
        let mut found = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == own);
        let (_, value) = found.next()?;
        match found.next() {
            None => Token::parse(value).ok(),
            Some(_) => None,
        }
    }

    pub fn set(self, value: &str, response: &mut Response) {
        self.write(value, SECONDS, response);
    }

    pub fn remove(self, response: &mut Response) {
        self.write("", 0, response);
    }

    fn write(self, value: &str, seconds: u32, response: &mut Response) {
        let (prefix, name) = (self.prefix(), self.name);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let cookie = format!(
            "{prefix}{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[test]
    fn the_cookie_is_that_of_this_host_alone() {
        for (is_secure, begin, end) in [
            (false, "way=", "; SameSite=Lax"),
            (true, "__Host-way=", "; SameSite=Lax; Secure"),
        ] {
            let cookie = AttemptCookie::new("way", is_secure);
            let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
            let mut response = ().into_response();
            cookie.set(&token.reveal(), &mut response);
            let text = response.headers()[SET_COOKIE]
                .to_str()
                .expect("text")
                .to_owned();
            assert!(text.starts_with(begin) && text.ends_with(end), "{text}");
            assert!(text.contains("; Path=/; Max-Age=600; HttpOnly;"), "{text}");
            let pair = text.split(';').next().expect("a pair");
            for (field, is_read) in [
                (pair.to_owned(), true),
                (format!("a=b; {pair}"), true),
                (format!("{pair}; {pair}"), false),
                (format!("x{pair}"), false),
                (format!("{pair}x"), false),
                (pair.replace("__Host-", ""), !pair.starts_with("__Host-")),
            ] {
                let mut headers = HeaderMap::new();
                headers.insert(COOKIE, field.parse().expect("a value"));
                let read = cookie.read(&headers);
                assert_eq!(read.is_some(), is_read, "{field}");
            }
        }
    }
}
