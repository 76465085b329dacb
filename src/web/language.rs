//! The language of a page: the one chosen on it (`?lang=…`), else the stored choice of the link's holder,
//! else the browser's, else the site's.
//!
//! A choice travels in the URLs of pages, so no cookie is needed. Requesting a page stores nothing; only
//! forms store the choice.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use minijinja::{Value, context};
use url::form_urlencoded;

use crate::domain::{LanguagePriority, LanguageTag};
use crate::store::LanguageWish;
use crate::templates::{Language, Templates};

/// Language preferences of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestedLanguage {
    /// The language that was chosen on a page, if it is supported.
    pub chosen: Option<Language>,
    /// The browser's languages.
    pub accepted: LanguagePriority,
}

impl RequestedLanguage {
    pub fn of(templates: &Templates, query: Option<&str>, headers: &HeaderMap) -> Self {
        let lang = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .find(|(name, _)| name == "lang")
            .map(|(_, tag)| tag);
        let accepted = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Self {
            chosen: lang.and_then(|tag| choice(templates, &tag)),
            accepted: LanguagePriority::parse(accepted),
        }
    }

    /// The part that is stored with a mail that a form requests.
    pub fn wish(&self) -> LanguageWish {
        LanguageWish {
            chosen: self.chosen.as_ref().map(|language| language.tag().clone()),
            accepted: self.accepted.clone(),
        }
    }

    /// Chooses the language of a page.
    pub fn language(
        &self,
        templates: &Templates,
        remembered: Option<&LanguageTag>,
        of_site: &LanguageTag,
    ) -> Language {
        self.chosen
            .clone()
            .or_else(|| templates.choose(&remembered?.clone().into()))
            .or_else(|| templates.choose(&self.accepted))
            .or_else(|| templates.choose(&of_site.clone().into()))
            .unwrap_or_default()
    }

    /// Template data: the languages to choose from, and the choice as a query for links.
    pub fn context(&self, templates: &Templates) -> Value {
        let query = match &self.chosen {
            Some(language) => format!("?lang={}", language.as_str()),
            None => String::new(),
        };
        context! { languages => templates.language_menu(), query => query }
    }
}

/// The language that a form or a query names, if it is supported.
pub(super) fn choice(templates: &Templates, tag: &str) -> Option<Language> {
    templates.choose(&LanguageTag::parse(tag).ok()?.into())
}
