//! The sending of composed mail, and the choice of its language, for the queues of verification mail and
//! notices.

use std::sync::Arc;

use super::compose::{ComposeError, ComposedMail};
use super::transport::MailTransport;
use crate::config::Config;
use crate::domain::{LanguagePriority, PortalName};
use crate::outbound::{AttemptOutcome, Cause};
use crate::store::Store;
use crate::templates::{Language, Templates};

/// Store, settings, texts and transport of a queue of mail.
pub(super) struct Mailer {
    pub store: Store,
    pub config: Arc<Config>,
    pub templates: Arc<Templates>,
    pub transport: MailTransport,
}

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

    /// Sends a composed mail. A failure of its template is retried, since it can be repaired; any other failure to
    /// compose is final.
    pub async fn send(&self, composed: Result<ComposedMail, ComposeError>) -> AttemptOutcome {
        let error = match composed {
            Ok(mail) => return self.transport.send(&mail).await,
            Err(error) => error,
        };
        let cause = Cause::of_request(&error.to_string());
        match error {
            ComposeError::Templates(_) | ComposeError::NoSubject => AttemptOutcome::Retry(cause),
            _ => AttemptOutcome::Refused(cause),
        }
    }
}
