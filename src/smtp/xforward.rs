//! XFORWARD, with which Postfix names its client: name, address and HELO.
//!
//! Attributes are xtext (RFC 3461 4); attributes that are not given keep their value until the transaction
//! ends.

use super::reply::Reply;
use crate::domain::{ForwardedClient, parse_address};

/// Attributes offered in EHLO. Only `NAME`, `ADDR` and `HELO` are kept.
pub const ATTRIBUTES: &[&str] = &["NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"];

/// Applies the attributes of one XFORWARD to the known client. Nothing changes if one of them is wrong.
///
/// # Errors
/// `501`: an unknown attribute, or an impossible value.
pub fn update(known: &mut ForwardedClient, argument: &str) -> Result<(), Reply> {
    let mut client = known.clone();
    let mut count = 0;
    for attribute in argument.split_ascii_whitespace() {
        let (name, value) = attribute.split_once('=').ok_or(Reply::Arguments)?;
        let name = name.to_ascii_uppercase();
        if !ATTRIBUTES.contains(&name.as_str()) {
            return Err(Reply::Arguments);
        }
        let value = decode(value)?;
        match name.as_str() {
            "NAME" => client.name = value,
            "HELO" => client.helo = value,
            // May be something other than an IP address, for mail that did not come over a network.
            "ADDR" => client.address = value.as_deref().and_then(parse_address),
            _ => {}
        }
        count += 1;
    }
    if count == 0 {
        return Err(Reply::Arguments);
    }
    *known = client;
    Ok(())
}

/// Decodes xtext; None for a value that means unknown.
fn decode(value: &str) -> Result<Option<String>, Reply> {
    if ["[UNAVAILABLE]", "[TEMPUNAVAIL]"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
    {
        return Ok(None);
    }
    let mut text = String::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'+' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            let (high, low) = digit().zip(digit()).ok_or(Reply::Arguments)?;
            u8::try_from(high << 4 | low).map_err(|_| Reply::Arguments)?
        } else {
            byte
        };
        // Anything but printable ASCII could forge a field or a line of the log.
        if !byte.is_ascii_graphic() {
            return Err(Reply::Arguments);
        }
        text.push(char::from(byte));
    }
    if text.is_empty() || text.len() > 255 {
        return Err(Reply::Arguments);
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_add_up() {
        let mut client = ForwardedClient::default();
        update(&mut client, "NAME=spike.example ADDR=192.0.2.7 PROTO=ESMTP").expect("good");
        update(&mut client, "helo=spike+2Dtwo.example port=1234").expect("good");
        assert_eq!(
            client,
            ForwardedClient {
                name: Some("spike.example".to_owned()),
                address: Some("192.0.2.7".parse().expect("an address")),
                helo: Some("spike-two.example".to_owned()),
            }
        );
        update(&mut client, "ADDR=IPv6:::ffff:192.0.2.8").expect("good");
        assert_eq!(
            client.address,
            Some("192.0.2.8".parse().expect("an address"))
        );
        update(&mut client, "NAME=[Unavailable] ADDR=IPv6:2001:db8::7").expect("good");
        assert_eq!(client.name, None);
        assert_eq!(
            client.address,
            Some("2001:db8::7".parse().expect("an address"))
        );
    }

    #[test]
    fn a_wrong_attribute_changes_nothing() {
        for argument in [
            "",
            "NAME",
            "NAME=",
            "COLOUR=red",
            "NAME=a HELO=b+0D+0Ac",
            "NAME=a HELO=+2",
            "NAME=a HELO=b\u{f6}c",
            "NAME=a HELO=+",
        ] {
            let mut client = ForwardedClient::default();
            assert_eq!(update(&mut client, argument), Err(Reply::Arguments));
            assert_eq!(client, ForwardedClient::default(), "{argument}");
        }
    }

    #[test]
    fn a_value_has_at_most_255_octets() {
        for (length, is_good) in [(255, true), (256, false)] {
            let argument = format!("NAME={}", "a".repeat(length));
            let updated = update(&mut ForwardedClient::default(), &argument);
            assert_eq!(updated.is_ok(), is_good, "{length}");
        }
    }
}
