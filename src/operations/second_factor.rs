//! The second factor of operators with a password.

use jiff::SignedDuration;

use super::operators::generate;
use crate::domain::{
    Actor, OperatorName, RECOVERY_CODES, RecoveryCode, Role, SecondFactorCode, Timestamp, Token,
    TokenError, TokenHash, TotpKey,
};
use crate::store::{CodeOutcome, KeyKind, Result, Store, StoreError};

/// Texts of new recovery codes, which are shown once.
pub type NewSecondFactor = Vec<String>;

fn no_entropy(error: &TokenError) -> StoreError {
    StoreError::Other(error.to_string())
}

fn recovery_codes() -> Result<(NewSecondFactor, Vec<TokenHash>)> {
    let codes = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate());
    let codes = codes.collect::<Result<Vec<_>, _>>();
    let codes = codes.map_err(|error| no_entropy(&error))?;
    let texts = codes.iter().map(RecoveryCode::reveal).collect();
    Ok((texts, codes.iter().map(RecoveryCode::hash).collect()))
}

/// Creates a key for the operator's authenticator and returns it, to be shown once. The login asks for codes after
/// the first one was entered.
///
/// # Errors
/// `NotFound`; `NotAllowed` if there is a second factor, or for an operator without a password.
pub async fn begin_second_factor(store: &Store, name: OperatorName) -> Result<TotpKey> {
    let key = TotpKey::generate().map_err(|error| no_entropy(&error))?;
    store.begin_second_factor(name, key.clone()).await?;
    Ok(key)
}

/// Turns the second factor on and returns the recovery codes; None for a wrong code. All sessions but `session`
/// end.
///
/// # Errors
/// `NotFound`; `NotAllowed` if none is pending.
pub async fn add_second_factor(
    store: &Store,
    name: OperatorName,
    code: SecondFactorCode,
    session: TokenHash,
    by: Actor,
) -> Result<Option<NewSecondFactor>> {
    let (texts, hashes) = recovery_codes()?;
    let now = Timestamp::now();
    let is_right = store
        .confirm_second_factor(name, code, hashes, session, by, now)
        .await?;
    Ok(is_right.then_some(texts))
}

/// Replaces the recovery codes and returns the new ones; None for a wrong code.
///
/// # Errors
/// `NotFound`; `NotAllowed` without a second factor.
pub async fn renew_recovery_codes(
    store: &Store,
    name: OperatorName,
    code: SecondFactorCode,
    by: Actor,
) -> Result<Option<NewSecondFactor>> {
    let (texts, hashes) = recovery_codes()?;
    let now = Timestamp::now();
    let is_right = store
        .replace_recovery_codes(name, code, hashes, by, now)
        .await?;
    Ok(is_right.then_some(texts))
}

/// Turns the second factor off, for the operator themselves. Returns false for a wrong code.
///
/// # Errors
/// `NotFound`; `NotAllowed` without a second factor.
pub async fn turn_off_second_factor(
    store: &Store,
    name: OperatorName,
    code: SecondFactorCode,
    by: Actor,
) -> Result<bool> {
    let now = Timestamp::now();
    store.remove_second_factor(name, Some(code), by, now).await
}

/// Turns off the second factor of an operator who has lost it.
///
/// # Errors
/// `NotFound`; `NotAllowed` without a second factor.
pub async fn reset_second_factor(store: &Store, name: OperatorName, by: Actor) -> Result<()> {
    let now = Timestamp::now();
    store.remove_second_factor(name, None, by, now).await?;
    Ok(())
}

/// Completes the second step of a login. Only `SignedIn` comes with a session's key.
pub async fn log_in_with_code(
    store: &Store,
    attempt: TokenHash,
    code: Option<SecondFactorCode>,
    lifetime: SignedDuration,
) -> Result<(CodeOutcome, Token)> {
    let (token, key) = generate(KeyKind::Session, Role::Admin, lifetime)?;
    let now = Timestamp::now();
    let outcome = store.log_in_with_code(attempt, code, key, now).await?;
    Ok((outcome, token))
}
