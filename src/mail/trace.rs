//! Fields that our own MTA added.
//!
//! Anyone can write any field with any name in it, so only the position counts. Each MTA adds its `Received`
//! at the top, so the fields above that of our MTA are its own. An MTA that passes mail to a filter and takes
//! it back from the same machine adds a Received field each time; these are skipped.

use super::header::Field;
use crate::domain::parse_address;

/// The fields above the Received field of our own MTA.
pub(super) fn above_our_received<'a>(
    fields: impl Iterator<Item = Field<'a>>,
) -> impl Iterator<Item = Field<'a>> {
    fields.take_while(|field| !field.is("Received") || is_from_this_machine(field))
}

/// True if the field contains IP addresses and all of them are loopback addresses. A client chooses its HELO
/// name, which may look like the rest of such a field, but the MTA always adds the client's address, in
/// brackets or without.
pub(super) fn is_from_this_machine(field: &Field) -> bool {
    let text = field.text();
    let mut addresses = text
        .split(|c: char| c.is_whitespace() || "()[]<>;,=\"".contains(c))
        .filter_map(parse_address)
        .peekable();
    addresses.peek().is_some() && addresses.all(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::header::Section;
    use super::*;

    #[test]
    fn a_received_field_names_the_source_of_the_message() {
        for (value, local) in [
            (
                "from localhost (localhost [127.0.0.1]) by mx.corp.example (Postfix)",
                true,
            ),
            (
                "from localhost (localhost [IPv6:::1])\r\n\tby mx.corp.example; Mon, 23 Nov 2026 10:00:00 +0000",
                true,
            ),
            (
                "from x ([::ffff:127.0.0.1]) by localhost (mx [127.0.0.1]) (amavis, port 10024)",
                true,
            ),
            ("from a (b [203.0.113.9]) by mx", false),
            ("by mx.corp.example (Postfix, from userid 0) id 1", false),
            // HELO names of clients: like a literal, like two clauses, like a whole field.
            ("from [127.0.0.1] (evil.example [203.0.113.9]) by mx", false),
            (
                "from x [127.0.0.1] by y (evil.example [203.0.113.9]) by mx",
                false,
            ),
            (
                "from x (x [127.0.0.1]) by mx; (evil.example [203.0.113.9]) by mx",
                false,
            ),
            // Programs that write no brackets: Exchange, qmail.
            (
                "from [127.0.0.1] (203.0.113.9) by EX (127.0.0.1) with Microsoft SMTP",
                false,
            ),
            ("from unknown (HELO [127.0.0.1]) (2001:db8::1) by mx", false),
            ("from [127.0.0.1] (helo=x) by mx", true),
            ("from [203.0.113.9] (helo=[127.0.0.1]) by mx", false),
        ] {
            let raw = format!("Received: {value}\r\n");
            let field = Section::of(raw.as_bytes())
                .first("Received")
                .expect("a field");
            assert_eq!(is_from_this_machine(&field), local, "{value}");
        }
    }

    #[test]
    fn only_the_fields_above_are_returned() {
        let raw = b"A: 1\r\nReceived: from l (l [127.0.0.1])\r\nB: 2\r\n\
            received : from a (a [203.0.113.9])\r\nC: 3\r\nReceived: from l (l [127.0.0.1])\r\nD: 4\r\n";
        let names: Vec<_> = above_our_received(Section::of(raw).fields())
            .map(|field| field.name)
            .collect();
        assert_eq!(names, ["A", "Received", "B"]);
    }
}
