//! `GET, POST /verify/{token}`: the held requests of a sender, and the button that releases them.
//!
//! Opening the link changes nothing, because mail scanners open links, too. Only the button's form releases,
//! and pressing it twice shows that all is well.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use serde::Deserialize;

use super::link_pages::{
    ask_not_me, expired_link_page, list_released, page_after_verification,
    page_if_refused_too_late, page_of_verified_link, refusal_page, waiting,
};
use super::{AppState, Client, Fields, PageError, WebPage, language};
use crate::domain::{
    EmailAddress, LanguageTag, RequestId, Timestamp, Token, TokenHash, VerificationMethod,
};
use crate::observe::events;
use crate::operations::{WaitingCauses, list_denials};
use crate::store::{Choice, Link, Offer, Refused, TakenBack, VerificationOutcome, WaitingRequest};
use crate::verification::confirm;

#[derive(Deserialize)]
pub(super) struct Answer {
    /// The ticked ids.
    #[serde(default)]
    request: Vec<String>,
    /// The ids that the page showed. A request that came later is not among them, so the person did not leave
    /// it out.
    #[serde(default)]
    shown: Vec<String>,
    action: Action,
    /// The tag of the chosen language.
    lang: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Confirm,
    /// Asks to confirm "This was not me".
    AskNotMe,
    NotMe,
    TakeBack,
    /// Verifies by a sign-in at the organisation's provider.
    Sso,
    /// Shows the page in another language and stores the choice for mail.
    Language,
}

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Path(token): Path<String>,
    Client(client): Client,
) -> Result<WebPage, PageError> {
    let visit = app.visit(&token, client).await?;
    if let Link::Open {
        account, address, ..
    } = &visit.link
    {
        events::verification_opened(*account, address);
    }
    let page = app.render_link(&visit.token, visit.link, false).await?;
    Ok(with_language(page, visit.language))
}

pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    Path(token): Path<String>,
    Client(client): Client,
    Fields(answer): Fields<Answer>,
) -> Result<Response, PageError> {
    let Visit {
        token,
        link,
        language,
    } = app.visit(&token, client).await?;
    let page = match answer.action {
        Action::Confirm => app.confirm(&token, link, &answer).await?,
        Action::AskNotMe => app.ask_not_me(&token, link).await?,
        Action::NotMe => app.refuse(&token).await?,
        Action::TakeBack => app.take_back(&token).await?,
        Action::Sso => return app.confirm_by_sso(&token, link, &answer, client).await,
        Action::Language => return app.speak(&token, answer.lang.as_deref()).await,
    };
    Ok(with_language(page, language).into_response())
}

/// A request with a known link.
struct Visit {
    token: Token,
    link: Link,
    /// Chosen by the holder of the link.
    language: Option<LanguageTag>,
}

/// Sets the language that the holder of the link chose, which also holds for mail.
fn with_language(page: WebPage, remembered: Option<LanguageTag>) -> WebPage {
    WebPage {
        remembered,
        ..page.with(context! { keeps_language => true })
    }
}

impl AppState {
    /// The page of a link's target. `taken_back`: the refusal was withdrawn just now.
    async fn render_link(
        &self,
        token: &Token,
        link: Link,
        taken_back: bool,
    ) -> Result<WebPage, PageError> {
        let config = self.config();
        Ok(match link {
            Link::Open {
                address,
                requests,
                offers,
                ..
            } => {
                let denied = self.is_denied(&address).await?;
                waiting(&config, &address, (&requests, &offers), taken_back)
                    .with(context! { denied => denied })
            }
            Link::Verified {
                address,
                portal,
                refused,
                ..
            } => {
                let denied = self.is_denied(&address).await?;
                page_of_verified_link(&config, &address, portal.as_ref(), &refused)
                    .with(context! { denied => denied })
            }
            Link::Refused(refusal) => refusal_page(&config, &refusal),
            Link::Expired => expired_link_page(token),
            Link::Unknown => return Err(PageError::InvalidLink),
        })
    }

    /// True if a portal drops all mail from the address, so that no page may promise that it is passed on.
    pub(super) async fn is_denied(&self, address: &EmailAddress) -> Result<bool, PageError> {
        let denials = list_denials(self.store(), &self.config(), address).await?;
        Ok(!denials.is_empty())
    }

    /// Finds the target of a link, and the language that its holder chose. Each invalid link counts against the
    /// client's rate limit; beyond it the answer is 429. The link is looked up first, so a valid one always opens.
    async fn visit(&self, text: &str, client: std::net::IpAddr) -> Result<Visit, PageError> {
        let guessed = || {
            if self.guesses.take(client) {
                PageError::InvalidLink
            } else {
                PageError::TooMany
            }
        };
        let token = Token::parse_link(text).map_err(|_| guessed())?;
        let visited = self.store().visit_link(token.hash(), Timestamp::now());
        match visited.await? {
            (Link::Unknown, _) => Err(guessed()),
            (link, language) => Ok(Visit {
                token,
                link,
                language,
            }),
        }
    }

    /// Stores the language that the holder of a link chose and redirects to the page in it. An unsupported
    /// language changes nothing.
    async fn speak(&self, token: &Token, tag: Option<&str>) -> Result<Response, PageError> {
        let templates = &self.parts.templates;
        let chosen = tag.and_then(|tag| language::choice(templates, tag));
        let query = match chosen {
            Some(chosen) => {
                let tag = chosen.tag().clone();
                let query = format!("?lang={}", chosen.as_str());
                self.store().choose_language(token.hash(), tag).await?;
                query
            }
            None => "?".to_owned(),
        };
        // A relative redirect keeps the path, which holds the token.
        Ok((StatusCode::SEE_OTHER, [(LOCATION, query)]).into_response())
    }

    async fn confirm(
        &self,
        token: &Token,
        link: Link,
        answer: &Answer,
    ) -> Result<WebPage, PageError> {
        let (held, offers) = match link {
            Link::Open {
                requests, offers, ..
            } => (requests, offers),
            Link::Verified { refused, .. } => (Vec::new(), refused),
            Link::Expired => return Ok(expired_link_page(token)),
            link @ Link::Refused(_) => return self.render_link(token, link, false).await,
            Link::Unknown => return Err(PageError::InvalidLink),
        };
        let choice = choice(answer, &held, &offers)?;
        let mut known = held;
        known.extend(offers.into_iter().map(|offer| offer.request));
        let method = VerificationMethod::Link(token.hash());
        let verification = confirm::confirm(self.store(), method, choice, Timestamp::now()).await?;
        let config = self.config();
        let causes = WaitingCauses::read(self.store(), &config).await?;
        Ok(match verification {
            VerificationOutcome::Verified {
                address,
                released,
                discarded,
                ..
            } => {
                let denied = self.is_denied(&address).await?;
                page_after_verification(&causes, &address, &known, &released, discarded.len())
                    .with(context! { denied => denied })
            }
            VerificationOutcome::AlreadyVerified { released, .. } => {
                let link = self.store().look_at_link(token.hash(), Timestamp::now());
                self.render_link(token, link.await?, false)
                    .await?
                    .with(list_released(&causes, &known, &released))
            }
            VerificationOutcome::Expired => expired_link_page(token),
            VerificationOutcome::Unknown => return Err(PageError::InvalidLink),
        })
    }

    /// Sends the person to the provider, with their choice of requests. Only an open link has something to verify.
    async fn confirm_by_sso(
        &self,
        token: &Token,
        link: Link,
        answer: &Answer,
        client: std::net::IpAddr,
    ) -> Result<Response, PageError> {
        match &link {
            Link::Open {
                address,
                requests,
                offers,
                ..
            } => {
                let choice = choice(answer, requests, offers)?;
                self.begin_sso(token, address, choice, client).await
            }
            _ => Ok(self.render_link(token, link, false).await?.into_response()),
        }
    }

    /// Asks once more before everything is discarded. Only an open link has something to discard; an
    /// objection to a completed verification is recorded at once.
    async fn ask_not_me(&self, token: &Token, link: Link) -> Result<WebPage, PageError> {
        match link {
            Link::Open {
                address,
                requests,
                offers,
                ..
            } => {
                let offered = offers.iter().filter(|offer| !offer.discarded);
                Ok(ask_not_me(&address, requests.len() + offered.count()))
            }
            Link::Verified { .. } => self.refuse(token).await,
            link => self.render_link(token, link, false).await,
        }
    }

    async fn refuse(&self, token: &Token) -> Result<WebPage, PageError> {
        let hash: TokenHash = token.hash();
        let config = self.config();
        let quiet_for = config.verification.quiet_for;
        Ok(
            match confirm::refuse(self.store(), hash, quiet_for, Timestamp::now()).await? {
                Refused::Recorded { .. } | Refused::AlreadyRefused => {
                    let link = self.store().look_at_link(hash, Timestamp::now()).await?;
                    self.render_link(token, link, false).await?
                }
                Refused::AlreadyVerified {
                    address, portal, ..
                } => {
                    let denied = self.is_denied(&address).await?;
                    page_if_refused_too_late(&config, &address, portal.as_ref(), denied)
                }
                Refused::Expired => expired_link_page(token),
                Refused::Unknown => return Err(PageError::InvalidLink),
            },
        )
    }

    async fn take_back(&self, token: &Token) -> Result<WebPage, PageError> {
        let config = self.config();
        let (store, hash) = (self.store(), token.hash());
        let hold_for = config.verification.hold_for;
        let outcome = confirm::take_back(store, hash, hold_for, Timestamp::now()).await?;
        if matches!(outcome, TakenBack::Unknown) {
            return Err(PageError::InvalidLink);
        }
        let link = store.look_at_link(hash, Timestamp::now()).await?;
        let taken_back = matches!(outcome, TakenBack::Restored { .. });
        let page = self.render_link(token, link, taken_back).await?;
        Ok(page.with(context! { restored => outcome.has_restored() }))
    }
}

/// The requests that the person left out: those that the page showed and that are not ticked. A form that
/// does not say what it showed, such as one that a script sends, leaves out all held requests that it does
/// not name; a form that names none leaves out none. Offered requests are recovered only if they are ticked.
fn choice(answer: &Answer, held: &[WaitingRequest], offers: &[Offer]) -> Result<Choice, PageError> {
    let ids = |texts: &[String]| {
        texts
            .iter()
            .map(|text| text.parse::<RequestId>().map_err(|_| PageError::Malformed))
            .collect::<Result<BTreeSet<_>, _>>()
    };
    let ticked = ids(&answer.request)?;
    let mut shown = ids(&answer.shown)?;
    if shown.is_empty() && ticked.is_empty() {
        return Ok(Choice::All);
    }
    if shown.is_empty() {
        let offered = offers.iter().map(|offer| &offer.request);
        shown = held.iter().chain(offered).map(|one| one.id).collect();
    }
    Ok(Choice::Picked {
        left_out: shown.difference(&ticked).copied().collect(),
        ticked: ticked.into_iter().collect(),
    })
}
