//! The language of a mail: a language that the recipient asked for, else that of the portal, else that of the site.
//!
//! The store keeps the languages that a message or a browser asked for (`store/verification/languages.rs`).

use super::mailer::Mailer;
use crate::domain::{LanguagePriority, PortalName};
use crate::templates::Language;

impl Mailer {
    /// The first wanted language with texts, else the portal's, else the site's.
    pub fn choose_language(
        &self,
        wanted: impl IntoIterator<Item = LanguagePriority>,
        portal: Option<&PortalName>,
    ) -> Language {
        let portal = portal.and_then(|name| self.config.portal(name));
        let of_portal = portal.and_then(|portal| portal.language.clone());
        let others = [of_portal, Some(self.config.site.language.clone())];
        let others = others.into_iter().flatten().map(LanguagePriority::from);
        let mut all = wanted.into_iter().chain(others);
        let found = all.find_map(|list| self.templates.choose(&list));
        found.unwrap_or_default()
    }
}
