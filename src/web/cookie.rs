//! Cookies that hold a secret: of a session, or of an attempt to sign in that belongs to one browser.
//!
//! Over HTTPS, the name begins with `__Host-`, so that no other host of the domain can set such a cookie (RFC
//! 6265bis 4.1.3.2).

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use jiff::SignedDuration;

use crate::domain::Token;

/// Lifetime of an attempt, in seconds.
const ATTEMPT: i64 = 600;

/// A cookie with this name, for pages that are reached with or without HTTPS.
#[derive(Debug, Clone, Copy)]
pub(super) struct SecretCookie {
    name: &'static str,
    is_secure: bool,
    /// Lifetime in seconds.
    lifetime: i64,
    same_site: &'static str,
}

impl SecretCookie {
    /// The cookie of a session. Browsers send it with requests from our own pages only. `is_secure` is true if
    /// browsers reach the pages over HTTPS.
    pub fn of_session(name: &'static str, lifetime: SignedDuration, is_secure: bool) -> Self {
        Self {
            name,
            is_secure,
            lifetime: lifetime.as_secs(),
            same_site: "Strict",
        }
    }

    /// The cookie of a sign-in attempt. The provider leads the browser back to us, so the cookie is also sent when
    /// a link on another site is followed, but not with a form or an image of another site.
    pub fn of_attempt(name: &'static str, is_secure: bool) -> Self {
        Self {
            name,
            is_secure,
            lifetime: ATTEMPT,
            same_site: "Lax",
        }
    }

    fn prefix(self) -> &'static str {
        if self.is_secure { "__Host-" } else { "" }
    }

    /// Reads the secret from the cookies. A cookie that occurs twice counts as missing.
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
        self.write(value, self.lifetime, response);
    }

    pub fn remove(self, response: &mut Response) {
        self.write("", 0, response);
    }

    fn write(self, value: &str, seconds: i64, response: &mut Response) {
        let (prefix, name, same_site) = (self.prefix(), self.name, self.same_site);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let cookie = format!(
            "{prefix}{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
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
        let lifetime = SignedDuration::from_secs(600);
        for (cookie, begin, end) in [
            (
                SecretCookie::of_attempt("way", false),
                "way=",
                "; SameSite=Lax",
            ),
            (
                SecretCookie::of_attempt("way", true),
                "__Host-way=",
                "; SameSite=Lax; Secure",
            ),
            (
                SecretCookie::of_session("way", lifetime, true),
                "__Host-way=",
                "; SameSite=Strict; Secure",
            ),
        ] {
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
