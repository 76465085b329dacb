//! Operators, their sessions and their API tokens.

use jiff::SignedDuration;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    Actor, OperatorName, PasswordHash, Role, Timestamp, Token, TokenHash, TokenScope,
};
use crate::store::{
    IssuedToken, KeyKind, NameReuse, Operator, OperatorKey, PasswordOutcome, Result, Store,
    StoreError, StoredPassword, TokenTerms,
};

/// Maximum time from the password to the code of the second factor.
const CODE_AWAITED: SignedDuration = SignedDuration::from_mins(5);

/// Finds the operator of that name.
///
/// # Errors
/// `NotFound`.
pub async fn find_operator(store: &Store, name: &OperatorName) -> Result<Operator> {
    let operators = store.operators(Timestamp::now()).await?;
    let found = operators
        .into_iter()
        .find(|operator| operator.name == *name);
    found.ok_or_else(|| StoreError::not_found("operator", name))
}

/// Adds an operator.
///
/// # Errors
/// `NotAllowed` if there is one of that name, in whatever case, or was one and the name may not be reused.
pub async fn add_operator(
    store: &Store,
    name: OperatorName,
    role: Role,
    password: PasswordHash,
    reuse: NameReuse,
    by: Actor,
) -> Result<()> {
    let now = Timestamp::now();
    store
        .add_operator(name, role, password, reuse, by, now)
        .await
}

/// An operator whose access ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccessEnded {
    pub operator: OperatorName,
    /// Sessions and tokens that ended.
    pub ended: u64,
}

/// Removes an operator and ends their sessions and tokens.
///
/// # Errors
/// `NotFound`.
pub async fn remove_operator(store: &Store, name: OperatorName, by: Actor) -> Result<AccessEnded> {
    let operator = find_operator(store, &name).await?;
    store.remove_operator(name, by, Timestamp::now()).await?;
    Ok(AccessEnded {
        ended: operator.sessions.saturating_add(operator.tokens),
        operator: operator.name,
    })
}

/// Changes the password and ends all sessions and tokens of the operator.
///
/// # Errors
/// `NotFound`.
pub async fn change_password(
    store: &Store,
    name: OperatorName,
    password: PasswordHash,
    by: Actor,
) -> Result<()> {
    let now = Timestamp::now();
    store.change_password(name, password, by, now).await
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    pub operator: OperatorName,
    /// At most that of the operator.
    pub role: Role,
    pub lifetime: SignedDuration,
    /// The only interface that it opens; `None` if its role alone decides.
    pub scope: Option<TokenScope>,
    /// Purpose of the token.
    pub note: Option<String>,
}

/// A new token with its secret, which is not stored.
#[derive(Debug, Clone, Serialize)]
pub struct NewToken {
    #[serde(flatten)]
    pub issued: IssuedToken,
    pub token: String,
}

/// Makes an API token.
///
/// # Errors
/// `NotFound`; `NotAllowed` for a role above that of the operator.
pub async fn make_token(store: &Store, request: TokenRequest, by: Actor) -> Result<NewToken> {
    let TokenRequest {
        operator: name,
        role,
        lifetime,
        scope,
        note,
    } = request;
    let operator = find_operator(store, &name).await?;
    if role > operator.role {
        return Err(StoreError::NotAllowed(format!(
            "{name} is {}, so a token cannot have the role {role}",
            operator.role
        )));
    }
    let (token, key) = generate(KeyKind::Token, role, lifetime)?;
    let now = Timestamp::now();
    let terms = TokenTerms {
        scope,
        note: note.clone(),
    };
    store.make_key(name.clone(), key, terms, by, now).await?;
    Ok(NewToken {
        issued: IssuedToken {
            id: IssuedToken::id_of(&key.hash),
            operator: name,
            role,
            scope,
            note,
            created_at: now,
            expires_at: key.expires_at,
        },
        token: token.reveal(),
    })
}

pub(super) fn generate(
    kind: KeyKind,
    role: Role,
    lifetime: SignedDuration,
) -> Result<(Token, OperatorKey)> {
    let token = Token::generate().map_err(|error| StoreError::Other(error.to_string()))?;
    let expires_at = Timestamp::now().saturating_add(lifetime);
    let key = OperatorKey {
        hash: token.hash(),
        kind,
        role,
        expires_at: expires_at.unwrap_or(Timestamp::MAX),
    };
    Ok((token, key))
}

/// Ends one token or session of an operator, by its id.
///
/// # Errors
/// `NotFound`: the operator, or a token or session of theirs with this id.
pub async fn end_token(
    store: &Store,
    name: OperatorName,
    id: String,
    by: Actor,
) -> Result<AccessEnded> {
    store
        .end_token(name.clone(), id, by, Timestamp::now())
        .await?;
    Ok(AccessEnded {
        operator: name,
        ended: 1,
    })
}

/// Ends all sessions and tokens of an operator.
///
/// # Errors
/// `NotFound`.
pub async fn end_all_keys(store: &Store, name: OperatorName, by: Actor) -> Result<AccessEnded> {
    let ended = store
        .end_keys_of(name.clone(), by, Timestamp::now())
        .await?;
    Ok(AccessEnded {
        operator: name,
        ended: ended as u64,
    })
}

/// Completes the first step of a login, after the password matched `checked`. The token is the session's key, or
/// the secret of a login that waits for its code and then continues to `to`.
pub async fn log_in_with_password(
    store: &Store,
    name: OperatorName,
    checked: StoredPassword,
    to: String,
    lifetime: SignedDuration,
) -> Result<(PasswordOutcome, Token)> {
    let (token, key) = generate(KeyKind::Session, Role::Admin, lifetime)?;
    let now = Timestamp::now();
    let outcome = store
        .log_in_with_password(name, checked, key, to, now + CODE_AWAITED, now)
        .await?;
    Ok((outcome, token))
}

/// Ends the session with this key, at logout.
pub async fn end_session(store: &Store, key: TokenHash) -> Result<()> {
    store.end_key(key).await
}

/// Records a failed login in the audit, as this operator or under an unknown name.
pub async fn record_failed_login(
    store: &Store,
    name: Option<OperatorName>,
    detail: String,
) -> Result<()> {
    let now = Timestamp::now();
    store.record_failed_login(name, detail, now).await
}
