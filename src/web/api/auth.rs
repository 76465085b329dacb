//! Authentication of API requests: a token whose role is sufficient is required.

use axum::http::HeaderMap;

use super::AppState;
use super::problem::{Problem, ProblemKind};
use crate::domain::Role;
use crate::web::bearer::BearerRefusal;
pub(super) use crate::web::bearer::TokenHolder;
use crate::web::rate_limit::Peer;

impl AppState {
    /// Admits requests with a valid token of sufficient role.
    pub async fn admit(
        &self,
        least: Role,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<TokenHolder, Problem> {
        let holder = self
            .bearer
            .admit(&self.store, &self.config(), headers, peer)
            .await?;
        if holder.scope.is_some() {
            return Err(Problem::new(
                ProblemKind::Role,
                "this token is for /scim/v2 only",
            ));
        }
        if holder.role < least {
            return Err(Problem::role(least, holder.role));
        }
        Ok(holder)
    }
}

impl From<BearerRefusal> for Problem {
    fn from(refusal: BearerRefusal) -> Self {
        match refusal {
            BearerRefusal::Missing => Self::new(
                ProblemKind::NoToken,
                "send Authorization: Bearer TOKEN; vestibule operators token creates one",
            ),
            BearerRefusal::Invalid => Self::new(
                ProblemKind::InvalidToken,
                "it is unknown, has expired or was revoked",
            ),
            BearerRefusal::TooMany => Self::bare(ProblemKind::TooMany),
            BearerRefusal::Store(error) => error.into(),
        }
    }
}
