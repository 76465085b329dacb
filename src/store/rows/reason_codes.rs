//! Numeric codes of reasons in the ledger: the only mapping between the two.
//!
//! A code never changes its meaning, because stored entries keep theirs. The position of a rule in the table
//! of `access::rules` is another number, and is never stored. The table `rule` of the schema repeats the
//! codes for readers of the database without this program.

use std::borrow::Cow;

use crate::access::RuleGroup;
use crate::domain::Reason;
use crate::store::Result;
use crate::store::sql::{Bind, FromSql, SqlValue, ToSql};

/// Code of a reason.
const fn code(reason: Reason) -> u8 {
    match reason {
        Reason::Duplicate => 1,
        Reason::Bounce => 2,
        Reason::Loop => 3,
        Reason::SenderUnusable => 4,
        Reason::AccountBlocked => 5,
        Reason::Automatic => 6,
        Reason::Bulk => 7,
        Reason::AuthenticationFailed => 8,
        Reason::AccountActive => 9,
        Reason::AccountPending => 10,
        Reason::InternalAccountCreated => 11,
        Reason::ExternalAccountsDisabled => 12,
        Reason::DomainNotAllowed => 13,
        Reason::ExternalAccountCreated => 14,
        Reason::HoldQuota => 15,
        Reason::Confirmation => 16,
        Reason::SenderDenied => 17,
        Reason::Spam => 18,
    }
}

impl ToSql for Reason {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        code(*self).bind(bind)
    }
}

impl FromSql for Reason {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        let number = value.integer()?;
        Self::ALL
            .iter()
            .copied()
            .find(|reason| i64::from(code(*reason)) == number)
            .ok_or_else(|| value.mismatch("the code of a reason"))
    }
}

/// Replaces each reason in braces by its code, such as `rule = {hold_quota}`. `{reads_settings}`,
/// `{after_denial}` and `{refuses}` become lists for IN.
///
/// # Panics
/// If the braces hold anything else.
pub(crate) fn with_codes(sql: &str) -> String {
    let mut parts = sql.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').expect("a closing brace");
        text.push_str(&codes_of(name));
        text.push_str(rest);
    }
    text
}

fn codes_of(name: &str) -> Cow<'static, str> {
    let list = |group: RuleGroup| {
        let codes: Vec<_> = group.reasons().map(|one| code(one).to_string()).collect();
        codes.join(", ").into()
    };
    match name {
        "reads_settings" => list(RuleGroup::ReadsSettings),
        "after_denial" => list(RuleGroup::AfterDenial),
        "refuses" => list(RuleGroup::Refuses),
        name => {
            let reason = Reason::from_name(name);
            code(reason.unwrap_or_else(|| panic!("no reason is called {name}")))
                .to_string()
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::Tx;
    use crate::store::sqlite::connection;
    use crate::store::sqlite::session::SqliteSession;

    #[test]
    fn the_schema_has_the_same_codes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        connection::create(&path).expect("a file");
        connection::migrate(&path).expect("a schema");
        let tx: &Tx = &SqliteSession::reading(&path).expect("a database");
        let stored: Vec<(u8, String)> = tx
            .all("SELECT number, reason FROM rule ORDER BY number", &[])
            .expect("read");
        let mut expected: Vec<_> = Reason::ALL
            .iter()
            .map(|reason| (code(*reason), reason.to_string()))
            .collect();
        expected.sort_unstable();
        assert_eq!(stored, expected);
    }

    #[test]
    fn statements_name_reasons() {
        assert_eq!(
            with_codes("rule = {hold_quota} OR rule IN ({refuses})"),
            "rule = 15 OR rule IN (12, 13)"
        );
    }
}
