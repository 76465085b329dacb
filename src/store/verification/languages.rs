//! Languages of mail to a person: their choice on a page, the preferences of their message or browser, and
//! the language of each sent mail.

use crate::domain::{EmailAddress, LanguagePriority, LanguageTag, MailId, TokenHash};
use crate::store::rows::account_rows::find_account;
use crate::store::sql::Tx;
use crate::store::verification::tokens::find_token;
use crate::store::{Result, Store};

/// Language preferences of a person on a page.
#[derive(Debug, Clone, Default)]
pub struct LanguageWish {
    /// Language chosen on the page.
    pub chosen: Option<LanguageTag>,
    /// Languages of the browser.
    pub accepted: LanguagePriority,
}

/// Candidates for the language of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailLanguages {
    /// The person's last choice on a page.
    pub chosen: Option<LanguageTag>,
    /// Preferences of the message or browser that caused the mail; for a mail without either, the language of
    /// the account's last mail.
    pub wanted: LanguagePriority,
}

/// Records the languages of the sender of a held message, for the verification mail.
pub(crate) fn suggest(tx: &Tx, account: i64, languages: &LanguagePriority) -> Result<()> {
    if !languages.is_empty() {
        tx.run(
            "UPDATE letter SET language = ?2
                 WHERE account = ?1 AND due_at IS NOT NULL AND state = 'waiting'
                     AND language IS NULL",
            &[&account, &languages.to_string()],
        )?;
    }
    Ok(())
}

/// Records the preferences from a page, for the mail that results. A choice also applies to later mail until
/// the address is verified: from then on only the holder of a link can choose.
pub(crate) fn wish(tx: &Tx, account: i64, wish: &LanguageWish) -> Result<()> {
    if let Some(chosen) = &wish.chosen {
        tx.run(
            "UPDATE account SET language = ?2
                 WHERE n = ?1 AND verified_at IS NULL AND language_by_link = 0",
            &[&account, &chosen.as_str()],
        )?;
    }
    let wanted = LanguagePriority::default()
        .followed_by(wish.chosen.clone())
        .followed_by(wish.accepted.clone());
    if !wanted.is_empty() {
        tx.run(
            "UPDATE letter SET language = ?2
                 WHERE account = ?1 AND due_at IS NOT NULL AND state = 'waiting'",
            &[&account, &wanted.to_string()],
        )?;
    }
    Ok(())
}

/// Like [`wish`], for the account with this address if there is one.
pub(crate) fn wish_of(tx: &Tx, address: &EmailAddress, asked: &LanguageWish) -> Result<()> {
    match find_account(tx, &address.key())? {
        Some(account) => wish(tx, account.n, asked),
        None => Ok(()),
    }
}

/// Language that a mail was sent in.
pub(crate) fn of_mail(tx: &Tx, n: i64) -> Result<LanguageTag> {
    let tag: Option<String> = tx.one("SELECT language FROM letter WHERE n = ?", &[&n])?;
    Ok(tag
        .and_then(|tag| LanguageTag::parse(&tag).ok())
        .unwrap_or_default())
}

impl Store {
    /// Candidates for the language of a claimed mail.
    pub async fn find_mail_languages(&self, verification_mail: MailId) -> Result<MailLanguages> {
        self.read(move |tx| {
            let found: Option<(Option<String>, Option<String>)> = tx.maybe(
                "SELECT a.language, coalesce(l.language, (
                         SELECT e.language FROM letter AS e
                         WHERE e.account = l.account AND e.language IS NOT NULL
                         ORDER BY e.n DESC LIMIT 1
                     ))
                     FROM letter AS l JOIN account AS a ON a.n = l.account WHERE l.id = ?",
                &[&verification_mail],
            )?;
            let (chosen, wanted) = found.unwrap_or_default();
            Ok(MailLanguages {
                chosen: chosen.and_then(|tag| LanguageTag::parse(&tag).ok()),
                wanted: LanguagePriority::parse(&wanted.unwrap_or_default()),
            })
        })
        .await
    }

    /// Records the language that a mail is sent in: an answer confirms with the word of that language.
    pub async fn note_mail_language(
        &self,
        verification_mail: MailId,
        language: LanguageTag,
    ) -> Result<()> {
        self.write(move |work| {
            work.tx.run(
                "UPDATE letter SET language = ?2 WHERE id = ?1",
                &[&verification_mail, &language.as_str()],
            )?;
            Ok(())
        })
        .await
    }

    /// Stores the language that the holder of a link chose; does nothing if there is no such link.
    pub async fn choose_language(&self, token: TokenHash, language: LanguageTag) -> Result<()> {
        self.write(move |work| {
            if let Some(found) = find_token(work.tx, token)? {
                work.tx.run(
                    "UPDATE account SET language = ?2, language_by_link = 1
                         WHERE n = ?1 AND status <> 'blocked'",
                    &[&found.account, &language.as_str()],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Language that the person with this link chose, if any.
    pub async fn find_chosen_language(&self, token: TokenHash) -> Result<Option<LanguageTag>> {
        self.read(move |tx| chosen_with(tx, token)).await
    }
}

/// Language that the person with a link chose, if any.
pub(crate) fn chosen_with(tx: &Tx, token: TokenHash) -> Result<Option<LanguageTag>> {
    let tag: Option<Option<String>> = tx.maybe(
        "SELECT a.language FROM token AS t JOIN account AS a ON a.n = t.account WHERE t.hash = ?",
        &[&token],
    )?;
    Ok(tag.flatten().and_then(|tag| LanguageTag::parse(&tag).ok()))
}
