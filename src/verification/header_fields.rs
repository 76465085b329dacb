//! Header fields of our mail that lettre has no types for.

use lettre::message::header::{Header, HeaderName, HeaderValue};

use crate::mail::LOOP_FIELD;

/// A field with a fixed name that lettre has no type for.
macro_rules! field {
    ($(#[$doc:meta])* $type:ident, $name:expr, $value:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(super) struct $type;

        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }
            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self)
            }
            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), $value.to_owned())
            }
        }
    };
}

field!(
    /// RFC 3834 5: the mail is generated automatically, so programs do not reply to it.
    AutoSubmitted,
    "Auto-Submitted",
    "auto-replied"
);
field!(
    /// [MS-OXCMAIL]: Exchange sends no out-of-office mail, automatic reply, receipt or delivery report. A
    /// non-delivery report (NDR) is wanted.
    AutoResponseSuppress,
    "X-Auto-Response-Suppress",
    "OOF, AutoReply, DR, RN, NRN"
);

/// RFC 3282 2: the language of the mail.
#[derive(Clone)]
pub(super) struct ContentLanguage(pub String);

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }
    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

/// Our own mark; incoming mail with it is a mail loop.
#[derive(Clone)]
pub(super) struct LoopMark(pub String);

impl Header for LoopMark {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str(LOOP_FIELD)
    }
    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}
