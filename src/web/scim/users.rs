//! `/Users`: creates, replaces, patches, removes and lists users.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_LOCATION, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use super::error::{ScimError, ScimType};
use super::paths_and_filters::{ScimFilter, find_key, parse_filter};
use super::projection::Projection;
use super::user::{entity_tag, location, parse_user, show_user, writable};
use super::{ScimState, answer, list_answer, patch as operations_of, read_body};
use crate::domain::{EmailAddress, UserId};
use crate::operations::{UserError, create_user, remove_user, replace_user};
use crate::store::{DirectoryUser, NewDirectoryUser, UserFilter, UserRefusal};
use crate::web::bearer::TokenHolder;

/// Maximum users in one answer.
pub(super) const MAX_RESULTS: usize = 200;

/// Maximum retries of a change that conflicts with another change of the same user.
const MAX_CONFLICTS: usize = 3;

/// A query, from the parameters or from a body of `.search`.
#[derive(Debug, Default)]
struct UserQuery {
    filter: Option<String>,
    start_index: u64,
    count: usize,
    projection: Projection,
}

impl UserQuery {
    fn of(
        filter: Option<String>,
        start_index: Option<i64>,
        count: Option<i64>,
        projection: Projection,
    ) -> Self {
        // RFC 7644 3.4.2.4: less than 1 is 1, and a negative count is 0.
        let start_index = u64::try_from(start_index.unwrap_or(1)).unwrap_or(1).max(1);
        let count = count.map_or(MAX_RESULTS, |count| usize::try_from(count).unwrap_or(0));
        Self {
            filter,
            start_index,
            count: count.min(MAX_RESULTS),
            projection,
        }
    }

    fn from_parameters(query: Option<&str>) -> Result<Self, ScimError> {
        let (mut filter, mut start, mut count) = (None, None, None);
        let (mut included, mut excluded) = (Vec::new(), Vec::new());
        let query = query.unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = || {
                let parsed = value.trim().parse::<i64>();
                parsed.map_err(|_| ScimError::value(format!("{name} must be a number")))
            };
            match name.to_ascii_lowercase().as_str() {
                "filter" => filter = Some(value.into_owned()),
                "startindex" => start = Some(number()?),
                "count" => count = Some(number()?),
                "attributes" => included.extend(names(&value)),
                "excludedattributes" => excluded.extend(names(&value)),
                _ => {}
            }
        }
        let projection = Projection::parse(&included, &excluded)?;
        Ok(Self::of(filter, start, count, projection))
    }

    fn from_body(body: &Value) -> Result<Self, ScimError> {
        let list = |name| member::<Vec<String>>(body, name, "a list of names");
        let projection = Projection::parse(
            &list("attributes")?.unwrap_or_default(),
            &list("excludedAttributes")?.unwrap_or_default(),
        )?;
        Ok(Self::of(
            member(body, "filter", "a string")?,
            member(body, "startIndex", "a number")?,
            member(body, "count", "a number")?,
            projection,
        ))
    }
}

/// Reads a member of a body; None if it is missing or null. `what` names the type for people.
fn member<T: DeserializeOwned>(
    body: &Value,
    name: &str,
    what: &str,
) -> Result<Option<T>, ScimError> {
    let value = find_key(body, name).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|_| ScimError::value(format!("{name} must be {what}")))
}

fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The users that a filter selects; None for a value that no user can have.
fn selection(filter: Option<&str>) -> Result<Option<UserFilter>, ScimError> {
    let mut wanted = UserFilter::default();
    let Some(filter) = filter else {
        return Ok(Some(wanted));
    };
    let ScimFilter { attribute, value } = parse_filter(filter)?;
    let Value::String(value) = value else {
        return Err(ScimError::bad(
            ScimType::InvalidFilter,
            format!("{attribute} must be compared with a string"),
        ));
    };
    match attribute.as_str() {
        "username" => wanted.user_name = Some(value),
        "externalid" => wanted.external_id = Some(value),
        "id" => match value.parse() {
            Ok(id) => wanted.id = Some(id),
            Err(_) => return Ok(None),
        },
        "emails" | "emails.value" => match EmailAddress::parse_stored(&value) {
            Ok(address) => wanted.address = Some(address),
            Err(_) => return Ok(None),
        },
        _ => {
            return Err(ScimError::bad(
                ScimType::InvalidFilter,
                format!(
                    "{attribute} cannot be compared; userName, externalId, id and emails.value can"
                ),
            ));
        }
    }
    Ok(Some(wanted))
}

async fn find_users(state: &ScimState, query: UserQuery) -> Result<Response, ScimError> {
    let (total, rows) = match selection(query.filter.as_deref())? {
        None => (0, Vec::new()),
        Some(wanted) => {
            let skip = query.start_index - 1;
            let users = state.store.directory_users(wanted, skip, query.count);
            let users = users.await?;
            (users.total, users.rows)
        }
    };
    let resources: Vec<_> = rows
        .iter()
        .map(|user| query.projection.apply(show_user(user)))
        .collect();
    Ok(list_answer(total, query.start_index, &resources))
}

pub(super) async fn list(
    State(state): State<Arc<ScimState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ScimError> {
    find_users(&state, UserQuery::from_parameters(query.as_deref())?).await
}

pub(super) async fn search(
    State(state): State<Arc<ScimState>>,
    request: Request,
) -> Result<Response, ScimError> {
    let body = read_body(request).await?;
    find_users(&state, UserQuery::from_body(&body)?).await
}

async fn find(state: &ScimState, id: &str) -> Result<DirectoryUser, ScimError> {
    let missing = || ScimError::not_found(format!("there is no user {id}"));
    let parsed: UserId = id.parse().map_err(|_| missing())?;
    let found = state.store.directory_user(parsed).await?;
    found.ok_or_else(missing)
}

/// True if a condition of the request names this entity tag, compared weakly.
fn names_tag(headers: &HeaderMap, condition: HeaderName, tag: &str) -> Option<bool> {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let mut fields = headers.get_all(condition).iter().peekable();
    fields.peek()?;
    let mut tags = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    Some(tags.any(|own| own.trim() == "*" || opaque(own) == opaque(tag)))
}

/// Refuses a change if the user is not in the state that the client saw.
fn check_condition(headers: &HeaderMap, user: &DirectoryUser) -> Result<(), ScimError> {
    match names_tag(headers, IF_MATCH, &entity_tag(user)) {
        Some(false) => Err(UserError::Refused(UserRefusal::Changed).into()),
        _ => Ok(()),
    }
}

/// Answers a user with its entity tag.
fn show_one(
    status: StatusCode,
    user: &DirectoryUser,
    query: Option<&str>,
) -> Result<Response, ScimError> {
    let projection = UserQuery::from_parameters(query)?.projection;
    let mut response = answer(status, &projection.apply(show_user(user)));
    let place = if status == StatusCode::CREATED {
        LOCATION
    } else {
        CONTENT_LOCATION
    };
    let headers = response.headers_mut();
    for (name, value) in [(ETAG, entity_tag(user)), (place, location(user))] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

pub(super) async fn show(
    State(state): State<Arc<ScimState>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ScimError> {
    let user = find(&state, &id).await?;
    let tag = entity_tag(&user);
    if names_tag(&headers, IF_NONE_MATCH, &tag) == Some(true) {
        // With the tag, as in a complete answer (RFC 9110 15.4.5).
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    show_one(StatusCode::OK, &user, query.as_deref())
}

pub(super) async fn create(
    State(state): State<Arc<ScimState>>,
    Extension(holder): Extension<TokenHolder>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ScimError> {
    let new = parse_user(&read_body(request).await?)?;
    let user = create_user(&state.store, &state.config(), new, holder.actor()).await?;
    show_one(StatusCode::CREATED, &user, query.as_deref())
}

/// Changes a user in its present state. Retries if another change conflicts.
async fn change<T, F: Future<Output = Result<T, UserError>>>(
    state: &ScimState,
    id: &str,
    headers: &HeaderMap,
    try_change: impl Fn(DirectoryUser) -> Result<F, ScimError>,
) -> Result<T, ScimError> {
    let mut conflicts = 0;
    loop {
        let user = find(state, id).await?;
        check_condition(headers, &user)?;
        match try_change(user)?.await {
            Err(UserError::Refused(UserRefusal::Changed)) if conflicts < MAX_CONFLICTS => {
                conflicts += 1;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Replaces a user by what `renew` makes of it.
async fn renew_user(
    state: &ScimState,
    holder: &TokenHolder,
    id: &str,
    headers: &HeaderMap,
    renew: impl Fn(&DirectoryUser) -> Result<NewDirectoryUser, ScimError>,
) -> Result<DirectoryUser, ScimError> {
    let config = state.config();
    change(state, id, headers, |user| {
        let (new, by) = (renew(&user)?, holder.actor());
        let (store, config) = (&state.store, &config);
        Ok(replace_user(store, config, user.id, user.version, new, by))
    })
    .await
}

pub(super) async fn replace(
    State(state): State<Arc<ScimState>>,
    Extension(holder): Extension<TokenHolder>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ScimError> {
    let headers = request.headers().clone();
    let new = parse_user(&read_body(request).await?)?;
    let user = renew_user(&state, &holder, &id, &headers, |_| Ok(new.clone())).await?;
    show_one(StatusCode::OK, &user, query.as_deref())
}

pub(super) async fn patch(
    State(state): State<Arc<ScimState>>,
    Extension(holder): Extension<TokenHolder>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ScimError> {
    let headers = request.headers().clone();
    let operations = read_body(request).await?;
    let apply = |before: &DirectoryUser| {
        let mut attributes = writable(before);
        operations_of::apply(&mut attributes, &operations)?;
        parse_user(&Value::Object(attributes))
    };
    let user = renew_user(&state, &holder, &id, &headers, apply).await?;
    show_one(StatusCode::OK, &user, query.as_deref())
}

pub(super) async fn remove(
    State(state): State<Arc<ScimState>>,
    Extension(holder): Extension<TokenHolder>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ScimError> {
    change(&state, &id, &headers, |user| {
        let by = holder.actor();
        Ok(remove_user(&state.store, user.id, user.version, by))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
