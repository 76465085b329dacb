//! Local parts of addresses under which programs write.
//!
//! Takes a local part. Separators do not count, because everyone places them differently, and neither do details
//! after a `+` or digits at the end. In the names of other languages, accents do not count either.

use std::collections::HashSet;
use std::sync::LazyLock;

use icu_normalizer::DecomposingNormalizer;

const SEPARATORS: [char; 3] = ['-', '_', '.'];

/// Names of programs, without separators.
const PROGRAMS: [&str; 11] = [
    "mailerdaemon",
    "maildaemon",
    "maildeliverysubsystem",
    "maildeliverysystem",
    "noreply",
    "noreplies",
    "donotreply",
    "donotrespond",
    "dontreply",
    "noresponse",
    "autoreply",
];

/// `noreply` in other languages, without separators and accents. Only the complete local part counts, since nobody
/// is called that.
const NO_REPLY: &str = "\
ca: norespondre, norespongueu
cs: neodpovidat, neodpovidejte
da: besvarikke, svarikke
de: bittenichtantworten, keineantwort, nichtantworten, nichtbeantworten
es: nocontestar, noconteste, noresponda, noresponder
fi: alavastaa
fr: nepasrepondre, nerepondezpas
hr: neodgovaraj, neodgovarajte
hu: nevalaszoljon
it: nonrispondere
nb: ikkesvar
nl: nietantwoorden, nietbeantwoorden, nietreageren
pl: nieodpowiadac, nieodpowiadaj
pt: naoresponda, naoresponder
ro: nuraspunde, nuraspundeti
sk: neodpovedajte, neodpovedat
sl: neodgovarjaj, neodgovarjajte
sv: svaraej, svarainte
tr: cevaplamayin, cevaplamayiniz, yanitlamayin, yanitlamayiniz";

static NO_REPLY_NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = NO_REPLY.lines().filter_map(|line| line.split_once(": "));
    lines.flat_map(|(_, names)| names.split(", ")).collect()
});

/// The mailbox that every domain has (RFC 2142 5): mail servers write under its name, and so do the people
/// who read it.
const POSTMASTER: [&str; 1] = ["postmaster"];

/// True for the local part of a program: `no-reply`, `mailer-daemon` and the like.
#[must_use]
pub fn is_program(local: &str) -> bool {
    let name = user(local).trim_end_matches(|c: char| c.is_ascii_digit());
    has_name(name, &PROGRAMS) || is_no_reply_in_another_language(name)
}

pub(super) fn is_postmaster(local: &str) -> bool {
    has_name(local, &POSTMASTER)
}

fn is_no_reply_in_another_language(local: &str) -> bool {
    let name = remove_accents(&user(local).replace(SEPARATORS, ""));
    NO_REPLY_NAMES.contains(name.as_str())
}

/// A text in lower case without accents: `Não` becomes `nao`. The Turkish `ı` is a letter of its own, and written `i`
/// where only ASCII is possible.
fn remove_accents(text: &str) -> String {
    DecomposingNormalizer::new_nfkd()
        .normalize(&text.to_lowercase())
        .chars()
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}'))
        .map(|c| if c == 'ı' { 'i' } else { c })
        .collect()
}

/// True if a local part contains one of `names`: `no-reply`, `NoReply+42`, `no_reply.desk`, `desk-noreply`.
/// Within a longer name it has to be separated, so that the names of people do not match.
fn has_name(local: &str, names: &[&str]) -> bool {
    let user = user(local).to_ascii_lowercase();
    let mut joined = String::with_capacity(user.len());
    let mut boundaries = vec![0];
    for part in user.split(SEPARATORS).take(8) {
        joined.push_str(part);
        boundaries.push(joined.len());
    }
    names.iter().any(|name| {
        let starts = joined.starts_with(*name) && boundaries.contains(&name.len());
        let ends = joined.ends_with(*name) && boundaries.contains(&(joined.len() - name.len()));
        starts || ends
    })
}

/// The local part without quotes and details.
fn user(local: &str) -> &str {
    let local = local.trim_matches('"');
    local.split('+').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_programs_match_in_every_language() {
        for local in [
            "no-reply",
            "desk-noreply",
            "no-replies",
            "dont-reply",
            "desk.do-not-respond",
            "noreply2",
            "no-reply-01+42",
            "\"donotreply3\"",
            "MAILER-DAEMON",
            "nicht-antworten",
            "NichtAntworten+42",
            "bitte_nicht.antworten",
            "nao-responda",
            "ne-pas-repondre",
            "nepasrepondre",
            "nepasrepondre2",
            "ne-répondez-pas",
            "no-responder",
            "non-rispondere",
            "niet-beantwoorden",
            "\"svara-ej\"",
            "não-responda",
            "NÃO_RESPONDA+42",
            "na\u{303}o-responda",
            "ne-pas-répondre",
            "nepasrépondre",
            "ne.válaszoljon",
            "älä-vastaa",
            "nu-răspundeți",
            "neodpovídejte",
            "yanıtlamayın",
            "YANITLAMAYIN",
        ] {
            assert!(is_program(local), "{local}");
        }
    }

    #[test]
    fn names_of_people_do_not_match() {
        for local in [
            "noreplyson",
            "noreply2son",
            "ann.noreply2son",
            "2",
            "antworten",
            "ann.nichtantworten",
            "nicht-antworten-ann",
            "ann.não-responda",
            "répondre",
            "nóreplyson",
            "ne.repondre",
            "responder",
            "nonresponder",
            "nonresponders",
            "svar",
            "",
            "+nichtantworten",
        ] {
            assert!(!is_program(local), "{local}");
        }
        assert!(is_postmaster("Postmaster+1") && !is_program("postmaster"));
        assert!(!is_postmaster("postmaster2"));
    }

    #[test]
    fn the_table_is_sorted_and_plain() {
        let languages: Vec<&str> = NO_REPLY.lines().map(|line| &line[..2]).collect();
        assert!(languages.is_sorted_by(|a, b| a < b));
        for line in NO_REPLY.lines() {
            let (_, names) = line.split_once(": ").expect("a language");
            let names: Vec<&str> = names.split(", ").collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{line}");
            for name in names {
                assert!(is_program(name), "{name}");
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
            }
        }
    }

    proptest! {
        /// In all ways to divide the local part in two, one side without its separators is compared.
        #[test]
        fn a_name_is_separated_from_the_rest(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["no", "Reply", "mail", "er", "daemon", "a", "\u{e9}", "-", ".", "_"]),
                0..8,
            ),
        ) {
            let local = pieces.concat();
            let is_name = |text: &str| {
                PROGRAMS.contains(&text.replace(SEPARATORS, "").to_ascii_lowercase().as_str())
            };
            let expected = is_name(&local) || local.match_indices(SEPARATORS).any(|(at, _)| {
                is_name(&local[..at]) || is_name(&local[at..])
            });
            prop_assert_eq!(has_name(&local, &PROGRAMS), expected, "{}", local);
        }
    }
}
