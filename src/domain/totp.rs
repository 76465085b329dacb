//! The second factor beside a password: time-based one-time codes (RFC 6238, with the parameters that every
//! authenticator supports: SHA-1, 30 seconds, six digits), and recovery codes.

use std::fmt::Write;

use ring::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded::byte_serialize;

use super::token::{base32_decode, base32_encode, hidden_debug, random};
use super::{OperatorName, Timestamp, TokenError, TokenHash};

/// Length of a period in seconds; each period has its own code.
const PERIOD: i64 = 30;

/// Number of periods before and after the current one whose codes are accepted, to tolerate clock skew (RFC
/// 6238 5.2).
const WINDOW: i64 = 1;

const DIGITS: usize = 6;

/// Number of recovery codes in a set.
pub const RECOVERY_CODES: usize = 10;

/// The key that the authenticator and we share. Neither `Debug` nor `Display` reveals it.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpKey([u8; 20]);

impl TotpKey {
    /// Creates a new one, of the length that RFC 4226 4 recommends.
    ///
    /// # Errors
    /// Only if the operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        Ok(Self(random()?))
    }

    #[must_use]
    pub fn from_stored(octets: [u8; 20]) -> Self {
        Self(octets)
    }

    /// The stored form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The text to type into an authenticator: base32 in groups of four.
    #[must_use]
    pub fn reveal(&self) -> String {
        group(&base32_encode(&self.0).to_ascii_uppercase(), ' ')
    }

    /// The URI that a QR code for authenticators holds.
    #[must_use]
    pub fn reveal_as_uri(&self, site: &str, name: &OperatorName) -> String {
        // A colon ends the issuer within the label.
        let site = site.replace(':', " ");
        let encode = |text: &str| -> String {
            // Authenticators show a plus as it is.
            byte_serialize(text.as_bytes())
                .collect::<String>()
                .replace('+', "%20")
        };
        let key = base32_encode(&self.0).to_ascii_uppercase();
        let site = encode(&site);
        format!(
            "otpauth://totp/{site}:{name}?secret={key}&issuer={site}&algorithm=SHA1&digits={DIGITS}\
             &period={PERIOD}"
        )
    }

    /// The code of one period, counted from 1970 (RFC 4226 5.3).
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0xf);
        let number = tag[offset..offset + 4]
            .iter()
            .fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
        format!("{:0DIGITS$}", (number & 0x7fff_ffff) % 1_000_000)
    }

    /// The code at a time.
    #[must_use]
    pub fn code_at(&self, at: Timestamp) -> String {
        self.code(at.as_second().div_euclid(PERIOD))
    }

    /// The period of a code, if it is within the window and later than `used`, the last period whose code was
    /// used: a code is accepted only once (RFC 6238 5.2).
    #[must_use]
    pub fn period_of(&self, code: &str, now: Timestamp, used: Option<i64>) -> Option<i64> {
        let current = now.as_second().div_euclid(PERIOD);
        let mut found = None;
        // All codes are compared, so that the timing does not reveal which one matched.
        for step in current - WINDOW..=current + WINDOW {
            let is_same: bool = self.code(step).as_bytes().ct_eq(code.as_bytes()).into();
            if is_same && used.is_none_or(|used| step > used) {
                found = found.or(Some(step));
            }
        }
        found
    }
}

hidden_debug!(TotpKey);

/// A code that a person entered as second factor.
pub enum SecondFactorCode {
    /// Six digits.
    Totp(String),
    Recovery(TokenHash),
}

impl SecondFactorCode {
    /// Parses a code as a person typed it; blanks and hyphens are ignored. None if it is neither kind of code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 100 {
            return None;
        }
        let is_filling = |c: char| c.is_whitespace() || c == '-';
        let text: String = text.chars().filter(|c| !is_filling(*c)).collect();
        if text.len() == DIGITS && text.bytes().all(|octet| octet.is_ascii_digit()) {
            return Some(Self::Totp(text));
        }
        base32_decode::<10>(&text).map(|octets| Self::Recovery(hash(&octets)))
    }
}

/// A code for when the authenticator is lost: 80 random bits, used once. Only its hash is stored.
pub struct RecoveryCode([u8; 10]);

impl RecoveryCode {
    /// Creates a new one.
    ///
    /// # Errors
    /// Only if the operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        Ok(Self(random()?))
    }

    /// The text for the person, shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        group(&base32_encode(&self.0), '-')
    }

    #[must_use]
    pub fn hash(&self) -> TokenHash {
        hash(&self.0)
    }
}

fn hash(octets: &[u8; 10]) -> TokenHash {
    let mut digest = Sha256::new();
    digest.update("vestibule recovery code ");
    digest.update(octets);
    TokenHash::from_stored(digest.finalize().into())
}

/// Splits a text into groups of four characters.
fn group(text: &str, between: char) -> String {
    let mut grouped = String::new();
    for (place, c) in text.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            grouped.push(between);
        }
        let _ = grouped.write_char(c);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// RFC 6238 appendix B, the last six of its eight digits.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let key = TotpKey::from_stored(*b"12345678901234567890");
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = second / 30;
            assert_eq!(key.code(step), code, "{second}");
            assert_eq!(key.period_of(code, at(second), None), Some(step));
        }
    }

    #[test]
    fn a_code_is_accepted_once_and_for_a_minute_at_most() {
        let key = TotpKey::from_stored(*b"12345678901234567890");
        let (second, step) = (1_111_111_109, 37_037_036);
        for (later, used, counts) in [
            (0, None, true),
            (30, None, true),
            (60, None, false),
            (-30, None, true),
            (-60, None, false),
            (0, Some(step - 1), true),
            (0, Some(step), false),
            (30, Some(step), false),
            // A later code was used: this one may have been seen since.
            (0, Some(step + 1), false),
        ] {
            let found = key.period_of("081804", at(second + later), used);
            assert_eq!(found.is_some(), counts, "{later} {used:?}");
        }
        for code in ["", "81804", "0818040", "081805", "08180４", "000000"] {
            assert_eq!(key.period_of(code, at(second), None), None, "{code}");
        }
    }

    #[test]
    fn an_authenticator_can_read_the_address() {
        let key = TotpKey::from_stored(*b"12345678901234567890");
        let name = OperatorName::parse("ann").expect("a name");
        assert_eq!(
            key.reveal_as_uri("Corp: Help & more", &name),
            "otpauth://totp/Corp%20%20Help%20%26%20more:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Corp%20%20Help%20%26%20more&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(key.reveal(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn a_recovery_code_is_read_as_people_type_it() {
        let code = RecoveryCode::generate().unwrap_or_else(|error| panic!("{error}"));
        let text = code.reveal();
        assert_eq!(text.len(), 19, "{text}");
        for typed in [
            text.clone(),
            text.to_uppercase(),
            text.replace('-', ""),
            format!(" {} ", text.replace('-', " - ")),
        ] {
            match SecondFactorCode::parse(&typed) {
                Some(SecondFactorCode::Recovery(hash)) => assert_eq!(hash, code.hash()),
                _ => panic!("{typed} is not read"),
            }
        }
        for typed in ["123456", "123 456", " 1-2-3-4-5-6 "] {
            let read = SecondFactorCode::parse(typed);
            assert!(matches!(read, Some(SecondFactorCode::Totp(six)) if six == "123456"));
        }
        for typed in [
            "",
            "12345",
            "1234567",
            "abcd",
            &text[1..],
            &"1".repeat(200),
            "１２３４５６",
        ] {
            assert!(SecondFactorCode::parse(typed).is_none(), "{typed}");
        }
    }
}
