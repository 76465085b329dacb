//! Reasons why a sign-in failed.

/// Reason why a sign-in failed. The text goes to the log; the person sees a page for the variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SsoError {
    /// The provider cannot be reached, or its answer is not valid.
    #[error("the provider cannot be used: {0}")]
    Provider(String),
    /// The provider sent the browser back without a code, with an error code of RFC 6749 4.1.2.1.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// The browser came back with parameters that do not belong to its attempt.
    #[error("the answer does not belong to this attempt: {0}")]
    Foreign(&'static str),
    /// The ID token is not valid.
    #[error("the ID token is not valid: {0}")]
    Token(&'static str),
    /// The provider was asked for a recent authentication, and does not say that there was one.
    #[error("the ID token shows no recent sign-in: {0}")]
    NotRecent(&'static str),
}

impl SsoError {
    pub(super) fn of_provider(what: &str, cause: impl std::fmt::Display) -> Self {
        let text = format!("{what}: {cause}");
        let start: String = text.chars().take(300).collect();
        Self::Provider(start.replace(char::is_control, " "))
    }
}
