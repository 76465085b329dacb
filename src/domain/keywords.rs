//! Enums with a keyword for each value.

/// Gives an enum its keywords: `ALL`, `as_str`, `from_name` and `Display`.
macro_rules! keywords {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The keyword, wherever the value is written: JSON, tables, logs, the database, mail.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Finds the value with this keyword.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use keywords;

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use crate::domain::{
        AccountKind, AccountOrigin, AccountStatus, Class, QueuedMailState, Reason, RequestState,
        Role, TokenScope, Verdict,
    };

    #[test]
    fn serde_and_the_tables_use_the_same_words() {
        fn words<T: Copy + Serialize>(
            all: &[T],
            word: fn(T) -> &'static str,
        ) -> Vec<(String, &'static str)> {
            let both = all.iter().map(|value| {
                let json = serde_json::to_string(value).expect("plain data");
                (json, word(*value))
            });
            both.collect()
        }
        for table in [
            words(Verdict::ALL, Verdict::as_str),
            words(Reason::ALL, Reason::as_str),
            words(Class::ALL, Class::as_str),
            words(RequestState::ALL, RequestState::as_str),
            words(AccountKind::ALL, AccountKind::as_str),
            words(AccountStatus::ALL, AccountStatus::as_str),
            words(AccountOrigin::ALL, AccountOrigin::as_str),
            words(QueuedMailState::ALL, QueuedMailState::as_str),
            words(Role::ALL, Role::as_str),
            words(TokenScope::ALL, TokenScope::as_str),
        ] {
            for (json, word) in table {
                assert_eq!(json, format!("{word:?}"));
            }
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
        }
    }
}
