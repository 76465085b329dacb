//! The language of a page: the one chosen on it (`?lang=…`), else what the person behind the link chose
//! before, else the browser's, else the site's.
//!
//! A choice travels in the address of pages, so that no cookie is needed; looking at one changes
//! nothing. What is kept of it is kept by the forms.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use minijinja::{Value, context};
use url::form_urlencoded;

use crate::domain::{LanguagePriority, LanguageTag};
use crate::store::LanguageWish;
use crate::templates::{Language, Wording};

/// What a request says about languages.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestedLanguage {
    /// The language that was chosen on a page, of those that there are texts in.
    pub chosen: Option<Language>,
    /// Those of the browser.
    pub accepted: LanguagePriority,
}

impl RequestedLanguage {
    pub fn of(wording: &Wording, query: Option<&str>, headers: &HeaderMap) -> Self {
        let lang = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .find(|(name, _)| name == "lang")
            .map(|(_, tag)| tag);
        let accepted = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Self {
            chosen: lang.and_then(|tag| choice(wording, &tag)),
            accepted: LanguagePriority::parse(accepted),
        }
    }

    /// What is kept of it with a mail that a form asks for.
    pub fn wish(&self) -> LanguageWish {
        LanguageWish {
            chosen: self.chosen.as_ref().map(|language| language.tag().clone()),
            accepted: self.accepted.clone(),
        }
    }

    /// The language of a page.
    pub fn language(
        &self,
        wording: &Wording,
        remembered: Option<&LanguageTag>,
        of_site: &LanguageTag,
    ) -> Language {
        self.chosen
            .clone()
            .or_else(|| wording.choose(&remembered?.clone().into()))
            .or_else(|| wording.choose(&self.accepted))
            .or_else(|| wording.choose(&of_site.clone().into()))
            .unwrap_or_default()
    }

    /// What the templates show of it: the languages to choose from, and the choice as the query of the links.
    pub fn context(&self, wording: &Wording) -> Value {
        let mut languages: Vec<(&str, &str)> = wording
            .languages()
            .map(|language| (wording.name_of(language), language.as_str()))
            .collect();
        languages.sort_by_key(|(name, _)| name.to_lowercase());
        let languages: Vec<Value> = languages
            .into_iter()
            .map(|(name, tag)| context! { name => name, tag => tag })
            .collect();
        let query = match &self.chosen {
            Some(language) => format!("?lang={}", language.as_str()),
            None => String::new(),
        };
        context! { languages => languages, query => query }
    }
}

/// The language that a form or an address names, if there are texts in it.
pub(super) fn choice(wording: &Wording, tag: &str) -> Option<Language> {
    wording.choose(&LanguageTag::parse(tag).ok()?.into())
}
