//! Types with a text form, which arguments, JSON and the database use.

/// Implements parsing a type from text and converting it to text. The stored form may have a parser of its own.
macro_rules! text_type {
    ($type:ident, $error:ty) => {
        $crate::domain::text_type::text_type!($type, $error, parse);
    };
    ($type:ident, $error:ty, $parse_stored:ident) => {
        impl std::str::FromStr for $type {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::$parse_stored(&text)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
pub(super) use text_type;
