//! Subjects of out-of-office replies, in the languages in which mail programs write them.
//!
//! Takes a decoded subject; returns true if it begins like one. Mail programs put a fixed phrase and a colon
//! before the subject that they answer.
//!
//! Sources: the prefix that Exchange and Outlook write in the language of the mailbox ("Automatic reply", and
//! before Exchange 2010 "Out of Office `AutoReply`"), the subjects in sisimai's decoder for RFC 3834, and
//! iCloud's ("Auto reply").

use std::sync::LazyLock;

/// The phrases of each language, in lower case.
const TABLE: &str = "\
en: automatic reply, automatic response, auto reply, auto-reply, autoreply, auto response, \
  auto-response, autoresponse, out of office, out-of-office, out of the office, \
  out of office autoreply, out of office auto-reply, out of office reply, vacation reply
ar: رد تلقائي, الرد التلقائي
bg: автоматичен отговор
ca: resposta automàtica
cs: automatická odpověď
da: automatisk svar, autosvar, ikke til stede
de: automatische antwort, abwesenheitsnotiz, abwesenheitsnachricht, abwesenheitsmeldung
el: αυτόματη απάντηση
es: respuesta automática, respuesta automatica, fuera de la oficina, fuera de oficina
et: automaatvastus, automaatne vastus
eu: erantzun automatikoa
fa: پاسخ خودکار
fi: automaattinen vastaus, poissaoloviesti
fr: réponse automatique, reponse automatique, absence du bureau, absent du bureau, message d'absence
gl: resposta automática
he: תשובה אוטומטית, מענה אוטומטי
hi: स्वचालित उत्तर
hr: automatski odgovor
hu: automatikus válasz
id: balasan otomatis
is: sjálfvirkt svar
it: risposta automatica, fuori sede, fuori ufficio
ja: 自動応答, 自動返信, 不在通知
ko: 자동 회신, 자동회신, 자동 응답, 자동응답
lt: automatinis atsakymas
lv: automātiska atbilde, automātiskā atbilde
ms: balasan automatik
nb: automatisk svar, autosvar, fraværsmelding
nl: automatisch antwoord, automatische reactie, afwezigheidsbericht
pl: odpowiedź automatyczna, automatyczna odpowiedź, autoodpowiedź
pt: resposta automática, resposta automatica, ausência temporária, fora do escritório
ro: răspuns automat
ru: автоматический ответ, автоответ
sk: automatická odpoveď
sl: samodejni odgovor
sr: аутоматски одговор
sv: automatiskt svar, autosvar, frånvaromeddelande
th: ตอบกลับอัตโนมัติ, การตอบกลับอัตโนมัติ
tr: otomatik yanıt, otomatik cevap
uk: автоматична відповідь, автовідповідь
zh: 自动答复, 自动回复, 自動答覆, 自動回覆, 自動回復";

static PHRASES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lists = TABLE.lines().filter_map(|line| line.split_once(": "));
    lists.flat_map(|(_, phrases)| phrases.split(", ")).collect()
});

/// Notes writes `AUTO:` and then the person's absence. Alone the word means a car in many European languages.
const NOTES: &str = "auto:";
const NOTES_SAYS: [&str; 2] = ["out of the office", "out of office"];

/// Maximum number of tags of a gateway, such as `[External]`, and maximum length of each.
const MAX_TAGS: usize = 3;
const MAX_TAG: usize = 40;

/// Recognises the subject of an out-of-office reply: a phrase of the table, followed by a colon or by
/// nothing. `Re: Automatic reply: …` is a person's answer to one.
pub(super) fn is_subject(subject: &str) -> bool {
    let plain: String = subject
        .chars()
        .filter(|c| !is_invisible(*c))
        .flat_map(char::to_lowercase)
        .collect();
    let subject = without_tags(&plain);
    let ends = |rest: &str| {
        let rest = rest.trim_start();
        rest.is_empty() || rest.starts_with([':', '：'])
    };
    let mut phrases = PHRASES.iter();
    phrases.any(|phrase| subject.strip_prefix(phrase).is_some_and(ends))
        || subject
            .strip_prefix(NOTES)
            .is_some_and(|rest| NOTES_SAYS.iter().any(|words| rest.contains(words)))
}

fn without_tags(subject: &str) -> &str {
    let mut rest = subject.trim();
    for _ in 0..MAX_TAGS {
        let tag = rest.strip_prefix('[').and_then(|tag| tag.split_once(']'));
        match tag {
            Some((tag, behind)) if tag.len() <= MAX_TAG => rest = behind.trim_start(),
            _ => break,
        }
    }
    rest
}

/// Marks of direction and width, which programs put around Arabic and Hebrew.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_lower_case_and_languages_are_sorted() {
        assert_eq!(TABLE.lines().count(), 41);
        assert_eq!(PHRASES.len(), 98);
        for phrase in PHRASES.iter() {
            assert_eq!(*phrase, phrase.to_lowercase());
            assert!(is_subject(&format!("{phrase}: x")), "{phrase}");
        }
        let languages = TABLE.lines().skip(1).map(|line| &line[..2]);
        assert!(languages.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn subjects_of_programs_match() {
        for subject in [
            "Automatic reply: Printer",
            "AUTOMATIC REPLY:",
            "Automatische Antwort: Drucker",
            "Réponse automatique : Imprimante",
            "Réponse automatique\u{a0}: Imprimante",
            "Automatisk svar: Printer",
            "Out of Office AutoReply: Printer",
            "Auto reply",
            "AUTO: Ann is out of the office (returning 01/12/2026)",
            "自动答复: 打印机",
            "自動応答：プリンター",
            "자동 회신: 프린터",
            "\u{200f}תשובה אוטומטית: מדפסת",
            "Автоматический ответ: Принтер",
            "[External] Automatic reply: Printer",
            "[EXT][Spam?] Risposta automatica: Stampante",
        ] {
            assert!(is_subject(subject), "{subject}");
        }
    }

    #[test]
    fn subjects_of_people_do_not_match() {
        for subject in [
            "Re: Automatic reply: Printer",
            "Fwd: Automatische Antwort: Drucker",
            "FW: [External] Automatic reply: Printer",
            "Automatic replies do not work",
            "Automatic reply does not stop",
            "Out of office assistant is broken",
            "Auto: Schaden am Firmenwagen",
            "Autosvaret virker ikke",
            "How do I set an automatic reply?",
            "自動応答の設定方法",
            "[",
            "",
        ] {
            assert!(!is_subject(subject), "{subject}");
        }
    }
}
