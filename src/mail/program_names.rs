//! Local parts of addresses under which programs write.
//!
//! Takes a local part. Separators do not count, because everyone places them differently, and neither do details
//! after a `+`.

const SEPARATORS: [char; 3] = ['-', '_', '.'];

/// Names of programs, without separators.
const PROGRAMS: [&str; 8] = [
    "mailerdaemon",
    "maildaemon",
    "maildeliverysubsystem",
    "maildeliverysystem",
    "noreply",
    "donotreply",
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
fr: nepasrepondre
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

/// The mailbox that every domain has (RFC 2142 5): mail servers write under its name, and so do the people
/// who read it.
const POSTMASTER: [&str; 1] = ["postmaster"];

/// True for the local part of a program: `no-reply`, `mailer-daemon` and the like.
#[must_use]
pub fn is_program(local: &str) -> bool {
    has_name(local, &PROGRAMS) || is_no_reply_in_another_language(local)
}

pub(super) fn is_postmaster(local: &str) -> bool {
    has_name(local, &POSTMASTER)
}

fn is_no_reply_in_another_language(local: &str) -> bool {
    let name = user(local).replace(SEPARATORS, "").to_ascii_lowercase();
    NO_REPLY
        .lines()
        .filter_map(|line| line.split_once(": "))
        .any(|(_, names)| names.split(", ").any(|known| known == name))
}

/// True if a local part contains one of `names`: `no-reply`, `NoReply+42`, `no_reply.desk`, `desk-noreply`.
/// Within a longer name it has to be separated, so that the names of people do not match.
fn has_name(local: &str, names: &[&str]) -> bool {
    let parts: Vec<String> = user(local)
        .split(SEPARATORS)
        .take(8)
        .map(str::to_ascii_lowercase)
        .collect();
    names.iter().any(|name| {
        let starts = (1..=parts.len()).any(|n| parts[..n].concat() == *name);
        let ends = (0..parts.len()).any(|n| parts[n..].concat() == *name);
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
    use super::*;

    #[test]
    fn names_of_programs_match_in_every_language() {
        for local in [
            "no-reply",
            "desk-noreply",
            "MAILER-DAEMON",
            "nicht-antworten",
            "NichtAntworten+42",
            "bitte_nicht.antworten",
            "nao-responda",
            "ne-pas-repondre",
            "nepasrepondre",
            "no-responder",
            "non-rispondere",
            "niet-beantwoorden",
            "\"svara-ej\"",
        ] {
            assert!(is_program(local), "{local}");
        }
    }

    #[test]
    fn names_of_people_do_not_match() {
        for local in [
            "noreplyson",
            "antworten",
            "ann.nichtantworten",
            "nicht-antworten-ann",
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
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
            }
        }
    }
}
