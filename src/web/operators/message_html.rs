//! `/messages/{id}/html`: the HTML of a message, for the frame on its page only.
//!
//! The HTML is untrusted. The output has the elements of text and tables, and only those attributes that a
//! table, a list or a link needs: no script, style, form, picture or other resource. Two more layers protect
//! against whatever the filter misses: the frame is a sandbox without permissions, and the answer's own
//! policy says the same and forbids every source. The text of a link shows its target; the policy of the
//! surrounding page lets the frame navigate only within this site.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ammonia::Builder;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};

use super::AppState;
use super::error::Error;
use super::message::with_content;
use crate::mail::{self, HtmlView};
use crate::store::StoreError;
use crate::web::render::Policy;

/// Elements that may remain, separated by spaces.
const ELEMENTS: &str = "\
    a abbr b blockquote br caption code col colgroup dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i \
    ins kbd li mark ol p pre q s small span strike strong sub sup table tbody td tfoot th thead \
    tr tt u ul var";

/// The beginning of the document, which states that it is not a page of ours.
const BEFORE: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n<title>HTML of a message</title>\n</head>\n\
    <body>\n";
const AFTER: &str = "\n</body>\n</html>\n";

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let (_, raw) = with_content(&app, &id).await?;
    // Parsing a large message takes time, and async threads must not block.
    let body = tokio::task::spawn_blocking(move || render(&raw)).await;
    let body = body.map_err(|error| StoreError::Other(error.to_string()))?;
    let clean = body.map_err(Error::NoSuchPart)?;
    let mut response = Html(format!("{BEFORE}{clean}{AFTER}")).into_response();
    response.extensions_mut().insert(Policy::Framed);
    Ok(response)
}

/// The parts, each cleaned by itself: an element that one leaves open must not enclose the next. Otherwise the reason
/// why there are none, as a sentence.
fn render(raw: &[u8]) -> Result<String, &'static str> {
    match mail::html(raw) {
        HtmlView::Missing => Err("This message has no HTML."),
        HtmlView::TooComplex => Err("The HTML of this message is too complex to be shown."),
        HtmlView::Parts(parts) => {
            let parts: Vec<_> = parts.iter().map(|html| clean(html)).collect();
            Ok(parts.join("\n<hr>\n"))
        }
    }
}

/// Removes everything active.
fn clean(html: &str) -> String {
    Builder::empty()
        .tags(ELEMENTS.split(' ').collect())
        .clean_content_tags(HashSet::from(["script", "style", "title", "head"]))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("col", HashSet::from(["span"])),
            ("ol", HashSet::from(["start"])),
            ("td", HashSet::from(["colspan", "rowspan"])),
            ("th", HashSet::from(["colspan", "rowspan"])),
        ]))
        .generic_attributes(HashSet::from(["dir", "lang"]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true)
        .clean(html)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_or_is_fetched_is_left() {
        for hostile in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg><script>alert(1)</script></svg>",
            "<svg/onload=alert(1)>",
            "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
            "<iframe src=https://evil.example></iframe>",
            "<object data=https://evil.example></object>",
            "<embed src=https://evil.example>",
            "<form action=https://evil.example><input name=password><button>Log in</button></form>",
            "<meta http-equiv=refresh content='0;url=https://evil.example'>",
            "<base href=https://evil.example/>",
            "<link rel=stylesheet href=https://evil.example/x.css>",
            "<style>@import 'https://evil.example/x.css';</style>",
            "<p style='background:url(https://evil.example/x)'>x</p>",
            "<body background=https://evil.example/x.png>",
            "<table background=https://evil.example/x.png><tr><td>x</td></tr></table>",
            "<a href='javascript:alert(1)'>x</a>",
            "<a href='java\tscript:alert(1)'>x</a>",
            "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
            "<a href='/customers' target=_top>x</a>",
            "<a ping=https://evil.example>x</a>",
            "<video src=https://evil.example autoplay></video>",
            "<input onfocus=alert(1) autofocus>",
            "<details open ontoggle=alert(1)>x</details>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
            "<template><script>alert(1)</script></template>",
            "<plaintext><script>alert(1)</script>",
            "<xmp><script>alert(1)</script></xmp>",
            "<!--><script>alert(1)</script>-->",
            "<p id=main class=fault name=csrf>x</p>",
        ] {
            let clean = clean(hostile);
            for bad in [
                "<script",
                "<img",
                "<svg",
                "<iframe",
                "<object",
                "<embed",
                "<form",
                "<input",
                "<button",
                "<meta",
                "<base",
                "<link",
                "<style",
                "<video",
                "<math",
                "style=",
                "src=",
                "background=",
                "onerror=",
                "onload",
                "href=",
                "ping=",
                "target=",
                "id=",
                "class=",
                "name=",
            ] {
                let tags: Vec<_> = clean.split('<').skip(1).map(tag).collect();
                assert!(
                    !tags.iter().any(|tag| format!("<{tag}").contains(bad)),
                    "{hostile}: {clean}"
                );
            }
        }
    }

    /// The text between the delimiters of one tag.
    fn tag(after: &str) -> String {
        after.split('>').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn ordinary_html_stays() {
        let html = "<head><title>x</title></head><h1>Hello</h1><p dir=rtl><b>It</b> burns, \
            <a href='https://corp.example/a?b=c' onclick=x() target=_blank>look</a>.</p>\
            <table><tr><td colspan=2>1</td></tr></table>";
        assert_eq!(
            clean(html),
            "<h1>Hello</h1><p dir=\"rtl\"><b>It</b> burns, \
             <a href=\"https://corp.example/a?b=c\" rel=\"noopener noreferrer nofollow\">look</a>.</p>\
             <table><tbody><tr><td colspan=\"2\">1</td></tr></tbody></table>"
        );
    }

    #[test]
    fn elements_in_elements_without_end_do_no_harm() {
        let deep = "<div><b><i>".repeat(20_000);
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        let length = thread
            .spawn(move || clean(&deep).len())
            .expect("a thread")
            .join()
            .expect("no overflow");
        assert!(length > 0);
    }
}
