//! The sending of composed mail, for the queues of verification mail and notices.

use std::sync::Arc;

use super::compose::{ComposeError, ComposedMail};
use super::transport::MailTransport;
use crate::config::Config;
use crate::outbound::{AttemptOutcome, Cause};
use crate::store::Store;
use crate::templates::Templates;

/// Store, settings, texts and transport of a queue of mail.
pub(super) struct Mailer {
    pub store: Store,
    pub config: Arc<Config>,
    pub templates: Arc<Templates>,
    pub transport: MailTransport,
}

impl Mailer {
    /// Sends a composed mail. A failure of its template is retried, since it can be repaired; any other failure to
    /// compose is final.
    pub async fn send(&self, composed: Result<ComposedMail, ComposeError>) -> AttemptOutcome {
        let error = match composed {
            Ok(mail) => return self.transport.send(&mail).await,
            Err(error) => error,
        };
        let cause = Cause::internal(&error.to_string());
        match error {
            ComposeError::Templates(_) | ComposeError::NoSubject => AttemptOutcome::Retry(cause),
            _ => AttemptOutcome::Refused(cause),
        }
    }
}
