//! Bulk mail: what came through a list or a mailing.
//!
//! In: the header. Out: the field that says so, and the identifiers of the lists (RFC 2919).

use super::Evidence;
use super::header::Header;

/// Fields whose presence is enough; the surest first.
const SIGNS: [&str; 4] = ["List-Id", "List-Post", "List-Unsubscribe", "Mailing-List"];

/// More lists than one message can have come through.
const MOST_LISTS: usize = 32;

pub(super) fn bulk(header: &Header) -> Option<Evidence> {
    SIGNS
        .iter()
        .find_map(|sign| header.first(sign))
        .or_else(|| {
            header
                .all("Precedence")
                .find(|field| is_bulk(&field.text()))
        })
        .map(|field| Evidence::of(&field))
}

fn is_bulk(value: &str) -> bool {
    ["bulk", "junk", "list"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// What stands in the angle brackets of each List-Id, in lower case. A field without brackets is
/// taken whole if it could stand in them.
pub(super) fn list_ids(header: &Header) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for field in header.all("List-Id") {
        let text = field.text();
        let id = match text.rsplit_once('<') {
            Some((_, rest)) => rest.split('>').next().unwrap_or_default().trim(),
            None => text.as_ref(),
        };
        let id = id.to_ascii_lowercase();
        let fits = !id.is_empty() && id.len() <= 255 && !id.contains(char::is_whitespace);
        if fits && !ids.contains(&id) && ids.len() < MOST_LISTS {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(raw: &str) -> Option<String> {
        bulk(&Header::of(raw.as_bytes())).map(|evidence| evidence.to_string())
    }

    #[test]
    fn each_sign_is_enough() {
        for raw in [
            "List-Id: <a.example>\r\n",
            "list-post: NO\r\n",
            "List-Unsubscribe: <mailto:x@corp.example>\r\n",
            "Mailing-List: contact a\r\n",
            "Precedence: Bulk\r\n",
            "Precedence: normal\r\nPrecedence: list\r\n",
            "PRECEDENCE: junk\r\n",
        ] {
            assert!(evidence(raw).is_some(), "{raw}");
        }
        for raw in [
            "Precedence: first-class\r\n",
            "List-Help: <x>\r\n",
            "\r\nList-Id: <a>\r\n",
        ] {
            assert_eq!(evidence(raw), None, "{raw}");
        }
    }

    #[test]
    fn list_ids_lose_their_names() {
        let raw = "List-Id: \"IT <Help>\" <IT-Help.Groups.corp.example>\r\n\
                   List-ID: plain.example\r\nList-Id: two words\r\nList-Id: <plain.example>\r\n";
        assert_eq!(
            list_ids(&Header::of(raw.as_bytes())),
            ["it-help.groups.corp.example", "plain.example"]
        );
    }
}
