//! What our own MTA found out about the sender's domain (RFC 8601).
//!
//! In: the header and the pinned `authserv-id`. Out: the results of the `Authentication-Results`
//! fields that our MTA added. Anyone can write such a field, with any name in it, so what counts is
//! where it stands: each MTA puts its `Received` on top of what came in, and what stands above that
//! of our MTA came from nobody else. An MTA that hands mail to a filter and takes it back from the
//! same machine adds a Received field each time; these are passed over.

use super::header::{Field, Header};
use super::{Authentication, AuthenticationResult, DmarcPolicy, Evidence};

const FIELD: &str = "Authentication-Results";

/// Reads the fields of `authserv_id` above our MTA's own Received field. Without such a field, a
/// copy further down is given as evidence that something was ignored, and says nothing.
pub(super) fn authentication(header: &Header, authserv_id: Option<&str>) -> Authentication {
    let mut found = Authentication::default();
    let Some(own) = authserv_id else {
        return found;
    };
    let mut inside = true;
    for field in header.fields() {
        if field.is("Received") {
            inside = inside && is_from_this_machine(&field);
        } else if field.is(FIELD) {
            let statement = Statement::of(&field);
            if !statement.id.eq_ignore_ascii_case(own) {
                continue;
            }
            if inside {
                take(&mut found, &statement, &field);
            } else if found == Authentication::default() {
                let text = format!(
                    "ignored, as it stands below our MTA's Received: {}",
                    field.text()
                );
                found.evidence = Some(Evidence::new(FIELD, text.as_bytes()));
            }
        }
    }
    found
}

/// Whether every address literal in the `from` clause is a loopback address. A client chooses the
/// name it gives with HELO, which may be such a literal, but not the address the MTA writes beside.
fn is_from_this_machine(field: &Field) -> bool {
    let text = field.text();
    let clause = text.split(" by ").next().unwrap_or_default();
    let mut literals = clause
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split(']').next())
        .peekable();
    literals.peek().is_some()
        && literals.all(|literal| {
            let address = literal.strip_prefix("IPv6:").unwrap_or(literal);
            address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
        })
}

/// Of several results the first counts, except that one good signature is enough.
fn take(found: &mut Authentication, statement: &Statement, field: &Field) {
    for result in &statement.results {
        let Some(value) = result.value() else {
            continue;
        };
        let slot = match result.method().as_str() {
            "dmarc" => {
                if found.dmarc.is_none() {
                    found.dmarc_policy = result.policy();
                    found.evidence = Some(Evidence::of(field));
                }
                &mut found.dmarc
            }
            "spf" => &mut found.spf,
            "dkim" => &mut found.dkim,
            "arc" => &mut found.arc,
            _ => continue,
        };
        if slot.is_none() || (result.method() == "dkim" && value == AuthenticationResult::Pass) {
            *slot = Some(value);
        }
    }
    if found.evidence.is_none() {
        found.evidence = Some(Evidence::of(field));
    }
}

/// One field: who says it, and what is said.
struct Statement {
    id: String,
    results: Vec<MethodResult>,
}

/// One `method=result` with what follows it; comments apart, as policies are written there.
#[derive(Default)]
struct MethodResult {
    text: String,
    comments: String,
}

/// More results, and more text, than any MTA gives.
const MOST_RESULTS: usize = 64;
const MOST_TEXT: usize = 16 * 1024;

impl Statement {
    fn of(field: &Field) -> Self {
        let text = field.text();
        let mut parts = vec![MethodResult::default()];
        let (mut depth, mut quoted) = (0_usize, false);
        let mut chars = text.chars().take(MOST_TEXT);
        while let Some(c) = chars.next() {
            if c == ';' && depth == 0 && !quoted {
                if parts.len() == MOST_RESULTS {
                    break;
                }
                parts.push(MethodResult::default());
                continue;
            }
            let Some(part) = parts.last_mut() else { break };
            match c {
                '\\' if depth > 0 || quoted => {
                    chars.next();
                }
                '"' if depth == 0 => quoted = !quoted,
                '(' if !quoted => {
                    depth += 1;
                    part.comments.push(' ');
                    part.text.push(' ');
                }
                ')' if depth > 0 => depth -= 1,
                _ if depth > 0 => part.comments.push(c),
                // What is quoted is a reason or a value with odd characters, never a method.
                c if quoted && c.is_whitespace() => part.text.push('_'),
                c => part.text.push(c),
            }
        }
        let id = parts.remove(0);
        Self {
            id: id
                .text
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            results: parts,
        }
    }
}

impl MethodResult {
    /// `dmarc` of `dmarc/1 = fail`.
    fn method(&self) -> String {
        let name = self.text.split('=').next().unwrap_or_default();
        let name = name.split('/').next().unwrap_or_default();
        name.trim().to_ascii_lowercase()
    }

    fn value(&self) -> Option<AuthenticationResult> {
        let (_, rest) = self.text.split_once('=')?;
        let word = rest.split_whitespace().next()?.to_ascii_lowercase();
        Some(match word.as_str() {
            "pass" => AuthenticationResult::Pass,
            "fail" | "hardfail" => AuthenticationResult::Fail,
            "softfail" => AuthenticationResult::SoftFail,
            "neutral" => AuthenticationResult::Neutral,
            "policy" => AuthenticationResult::Policy,
            "none" => AuthenticationResult::None,
            "temperror" => AuthenticationResult::TempError,
            "permerror" => AuthenticationResult::PermError,
            _ => return None,
        })
    }

    /// The domain's published policy: a property of type `policy`, or, as most programs write it,
    /// `p=` or `policy=` in a comment.
    fn policy(&self) -> Option<DmarcPolicy> {
        let words = |text: &str| -> Vec<String> {
            text.split([' ', '\t', ',', ';'])
                .map(str::to_ascii_lowercase)
                .collect()
        };
        let property = words(&self.text)
            .into_iter()
            .filter(|word| word.starts_with("policy."))
            .find_map(|word| policy(word.split_once('=')?.1));
        property.or_else(|| {
            words(&self.comments).into_iter().find_map(|word| {
                let (name, value) = word.split_once('=')?;
                matches!(name, "p" | "policy").then(|| policy(value))?
            })
        })
    }
}

fn policy(word: &str) -> Option<DmarcPolicy> {
    match word {
        "none" => Some(DmarcPolicy::None),
        "quarantine" => Some(DmarcPolicy::Quarantine),
        "reject" => Some(DmarcPolicy::Reject),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: &str = "Received: from a (b [203.0.113.9]) by mx.corp.example\r\n";

    fn read(raw: &str) -> Authentication {
        authentication(&Header::of(raw.as_bytes()), Some("mx.corp.example"))
    }

    #[test]
    fn what_stands_above_our_received_counts() {
        let found = read(&format!(
            "Authentication-Results: mx.corp.example 1; spf=softfail smtp.mailfrom=x;\r\n\
             \tdkim=fail header.d=a; dkim=pass (good) header.d=b;\r\n\
             \tdmarc/1 = fail (p=REJECT sp=NONE dis=NONE) header.from=evil.example; arc=none\r\n{RECEIVED}"
        ));
        assert_eq!(found.dmarc, Some(AuthenticationResult::Fail));
        assert_eq!(found.dmarc_policy, Some(DmarcPolicy::Reject));
        assert_eq!(found.spf, Some(AuthenticationResult::SoftFail));
        assert_eq!(found.dkim, Some(AuthenticationResult::Pass));
        assert_eq!(found.arc, Some(AuthenticationResult::None));
        assert!(found.fails());
    }

    #[test]
    fn what_came_from_outside_does_not() {
        let field =
            "Authentication-Results: mx.corp.example; dmarc=pass header.from=corp.example\r\n";
        let below = read(&format!("{RECEIVED}{field}"));
        assert_eq!(below.dmarc, None);
        assert!(
            below
                .evidence
                .is_some_and(|e| e.value.starts_with("ignored"))
        );
        let forged =
            "Received: from [127.0.0.1] (evil.example [203.0.113.9]) by mx.corp.example\r\n";
        assert_eq!(read(&format!("{forged}{field}")).dmarc, None);
        let other = field.replace("mx.corp", "mx.evil");
        assert_eq!(
            read(&format!("{other}{RECEIVED}")),
            Authentication::default()
        );
        let quoted =
            "Authentication-Results: (mx.corp.example) \"x;mx.corp.example\"; dmarc=pass\r\n";
        assert_eq!(read(quoted), Authentication::default());
    }

    #[test]
    fn a_filter_on_the_same_machine_is_passed_over() {
        let back = "Received: from localhost (localhost [127.0.0.1]) by mx.corp.example\r\n";
        let field = "Authentication-Results: mx.corp.example; dmarc=fail (p=none)\r\n";
        let found = read(&format!("{back}{field}{RECEIVED}"));
        assert_eq!(found.dmarc, Some(AuthenticationResult::Fail));
        assert!(!found.fails());
    }

    #[test]
    fn policies_are_found_where_programs_put_them() {
        for (text, expected) in [
            (
                "dmarc=fail policy.dmarc=quarantine",
                Some(DmarcPolicy::Quarantine),
            ),
            (
                "dmarc=fail header.from=a.example (policy=reject)",
                Some(DmarcPolicy::Reject),
            ),
            ("dmarc=fail reason=\"p=reject; x\" header.from=a", None),
        ] {
            let found = read(&format!(
                "Authentication-Results: mx.corp.example; {text}\r\n"
            ));
            assert_eq!(found.dmarc_policy, expected, "{text}");
        }
    }

    #[test]
    fn without_a_pinned_id_nothing_counts() {
        let raw = b"Authentication-Results: mx.corp.example; dmarc=pass\r\n";
        assert_eq!(
            authentication(&Header::of(raw), None),
            Authentication::default()
        );
    }
}
