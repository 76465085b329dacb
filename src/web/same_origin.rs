//! Protection against cross-site requests, for the public and the operators' pages: only forms of our own pages are
//! accepted.
//!
//! Most forms have a second protection: a forger knows neither the token in the address of a link nor the one in
//! the forms of a session, which `operators::auth` checks. For sign-up, a new link and the login, this check is the
//! only one. Browsers send the origin of a form in `Sec-Fetch-Site`, but over HTTPS or to loopback only (W3C Fetch
//! Metadata Request Headers, 3), and older browsers do not send it at all. Without it, `Origin` decides. From our own
//! pages that is `null`, since they send no referrer, so `null` has to be accepted. Other sites can send `null` too,
//! but never the cookie of a session (`SameSite=Strict`). Clients other than browsers send neither field and carry no
//! cookies of other people.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::page::PageError;

pub(super) async fn own_forms_only(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || is_ours(request.headers()) {
        next.run(request).await
    } else {
        PageError::CrossSite.into_response()
    }
}

fn is_ours(headers: &HeaderMap) -> bool {
    let field = |name: &str| headers.get(name).map(|value| value.to_str().ok());
    match field("sec-fetch-site") {
        Some(site) => matches!(site, Some("same-origin" | "none")),
        None => match field(ORIGIN.as_str()) {
            None | Some(Some("null")) => true,
            Some(Some(origin)) => {
                let host = field(HOST.as_str()).flatten();
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                host.is_some() && authority == host
            }
            Some(None) => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    #[test]
    fn forms_of_other_sites_are_refused() {
        for (fields, ours) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (
                vec![
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://a.example"),
                ],
                false,
            ),
            (
                vec![("sec-fetch-site", "same-origin"), ("origin", "null")],
                true,
            ),
            (vec![("origin", "null")], true),
            (vec![("origin", "https://a.example")], true),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "https://a.example.evil.example")], false),
            (vec![("origin", "a.example")], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("a.example"));
            for (name, value) in &fields {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            assert_eq!(is_ours(&headers), ours, "{fields:?}");
        }
    }
}
