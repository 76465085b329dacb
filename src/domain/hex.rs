//! Octets as hexadecimal digits.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits for each octet.
#[must_use]
pub fn to_hex(octets: &[u8]) -> String {
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    octets
        .iter()
        .flat_map(|octet| [digit(octet >> 4), digit(octet & 0x0f)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_has_two_digits() {
        for octet in 0..=u8::MAX {
            assert_eq!(to_hex(&[octet]), format!("{octet:02x}"));
        }
        assert_eq!(to_hex(&[0, 0x1f, 0xa0]), "001fa0");
        assert_eq!(to_hex(&[]), "");
    }
}
