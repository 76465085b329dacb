//! Subjects of out-of-office replies, in the languages in which mail programs write them.
//!
//! Takes a decoded subject; returns true if it begins like one. Mail programs put a fixed phrase and a colon
//! before the subject that they answer. Texts are compared in NFC, and a typographic apostrophe equals an ASCII one.
//!
//! Sources: the prefix that Exchange and Outlook write in the language of the mailbox ("Automatic reply", and
//! before Exchange 2010 "Out of Office `AutoReply`"), the subjects in sisimai's decoder for RFC 3834, and
//! iCloud's ("Auto reply").

use std::sync::LazyLock;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The phrases of each language, in lower case.
const TABLE: &str = "\
en: automatic reply, automatic response, auto reply, auto-reply, autoreply, auto response, \
  auto-response, autoresponse, out of office, out-of-office, out of the office, \
  out of office autoreply, out of office auto-reply, out of office reply, vacation reply
af: outomatiese antwoord
ar: رد تلقائي, الرد التلقائي
az: avtomatik cavab
bg: автоматичен отговор
ca: resposta automàtica
cs: automatická odpověď
cy: ateb awtomatig
da: automatisk svar, autosvar, ikke til stede
de: automatische antwort, abwesenheitsnotiz, abwesenheitsnachricht, abwesenheitsmeldung
el: αυτόματη απάντηση
es: respuesta automática, respuesta automatica, fuera de la oficina, fuera de oficina
et: automaatvastus, automaatne vastus
eu: erantzun automatikoa
fa: پاسخ خودکار
fi: automaattinen vastaus, poissaoloviesti
fr: réponse automatique, reponse automatique, réponse automatique d'absence du bureau, absence du bureau, \
  absent du bureau, absent(e) du bureau, message d'absence
ga: freagra uathoibríoch
gl: resposta automática
he: תשובה אוטומטית, מענה אוטומטי
hi: स्वचालित उत्तर
hr: automatski odgovor
hu: automatikus válasz
hy: ավտոմատ պատասխան
id: balasan otomatis
is: sjálfvirkt svar
it: risposta automatica, fuori sede, fuori ufficio
ja: 自動応答, 自動返信, 不在通知
ka: ავტომატური პასუხი
kk: автоматты жауап
ko: 자동 회신, 자동회신, 자동 응답, 자동응답
lt: automatinis atsakymas
lv: automātiska atbilde, automātiskā atbilde
mk: автоматски одговор
ms: balasan automatik
nb: automatisk svar, autosvar, fraværsmelding
nl: automatisch antwoord, automatisch antwoord bij afwezigheid, automatische reactie, afwezigheidsbericht
pl: odpowiedź automatyczna, automatyczna odpowiedź, autoodpowiedź
pt: resposta automática, resposta automatica, ausência temporária, fora do escritório
ro: răspuns automat
ru: автоматический ответ, автоответ
sk: automatická odpoveď
sl: samodejni odgovor
sq: përgjigje automatike
sr: аутоматски одговор
sv: automatiskt svar, autosvar, frånvaromeddelande
th: ตอบกลับอัตโนมัติ, การตอบกลับอัตโนมัติ
tr: otomatik yanıt, otomatik cevap
uk: автоматична відповідь, автовідповідь
vi: trả lời tự động
zh: 自动答复, 自动回复, 自動答覆, 自動回覆, 自動回復";

static PHRASES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lists = TABLE.lines().filter_map(|line| line.split_once(": "));
    lists.flat_map(|(_, phrases)| phrases.split(", ")).collect()
});

/// Notes writes `AUTO:` and then the person's absence, with the date of their return in parentheses at the end.
/// Alone the word means a car in many European languages.
const NOTES: &str = "AUTO";
const NOTES_SAYS: [&str; 2] = ["out of the office", "out of office"];
/// Absence in other languages, which counts only together with the capital letters and the date.
const NOTES_SAYS_WITH_DATE: [&str; 11] = [
    "absent",
    "abwesend",
    "afwezig",
    "assente",
    "ausente",
    "außer haus",
    "fora do escritório",
    "fuera de la oficina",
    "fuori sede",
    "fuori ufficio",
    "nicht im büro",
];
/// Minimum number of digits in a date: `1/1/27`.
const DATE: usize = 4;

/// Maximum number of tags, such as `[External]` of a gateway or `[support.corp.example #33575]` of Request Tracker, and
/// maximum length of each.
const MAX_TAGS: usize = 3;
const MAX_TAG: usize = 80;

/// Marks that gateways put before the subject of mail from outside, in brackets or with a colon after them.
const MARKS: [&str; 9] = [
    "ESTERNO",
    "EXT",
    "EXTERN",
    "EXTERNAL",
    "EXTERNAL EMAIL",
    "EXTERNAL MAIL",
    "EXTERNAL SENDER",
    "EXTERNE",
    "EXTERNO",
];

/// Recognises the subject of an out-of-office reply: a phrase of the table, followed by a colon or by
/// nothing. `Re: Automatic reply: …` is a person's answer to one.
pub(super) fn is_subject(subject: &str) -> bool {
    let plain: String = subject
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| if c == '\u{2019}' { '\'' } else { c })
        .collect();
    let plain = ComposingNormalizerBorrowed::new_nfc().normalize(&plain);
    let (subject, is_marked) = without_tags(&plain);
    let lower = subject.to_lowercase();
    // `(external) automatic reply` may be a question about the setting of that name.
    let ends = |rest: &str| {
        let rest = rest.trim_start();
        rest.starts_with([':', '：']) || (rest.is_empty() && !is_marked)
    };
    let mut phrases = PHRASES.iter();
    phrases.any(|phrase| lower.strip_prefix(phrase).is_some_and(ends)) || is_of_notes(subject)
}

/// Recognises what Notes writes in English, with the date of the return: `AUTO: Ann is out of the office (returning
/// 01/12/2026)`. It is so distinctive that the message need not be an answer; Notes 7 writes none of its fields.
pub(super) fn is_dated_absence(subject: &str) -> bool {
    let (subject, _) = without_tags(subject);
    let Some((NOTES, rest)) = subject.split_once(':') else {
        return false;
    };
    let rest = rest.to_lowercase();
    ends_with_a_date(&rest) && NOTES_SAYS.iter().any(|absence| rest.contains(absence))
}

fn is_of_notes(subject: &str) -> bool {
    let Some((word, rest)) = subject.split_once(':') else {
        return false;
    };
    let word = word.trim_end();
    let rest = rest.to_lowercase();
    let says = |absences: &[&str]| absences.iter().any(|absence| rest.contains(absence));
    (word.eq_ignore_ascii_case(NOTES) && says(&NOTES_SAYS))
        || (word == NOTES && ends_with_a_date(&rest) && says(&NOTES_SAYS_WITH_DATE))
}

/// True for a text with a date in parentheses at its end.
fn ends_with_a_date(text: &str) -> bool {
    let open = text.trim_end().strip_suffix(')');
    open.and_then(|open| open.rsplit_once('('))
        .is_some_and(|(_, date)| date.chars().filter(char::is_ascii_digit).count() >= DATE)
}

/// Removes tags and marks from the start. True if one of them was a mark of [`MARKS`] that is not in square brackets.
fn without_tags(subject: &str) -> (&str, bool) {
    let mut rest = subject.trim();
    let mut is_marked = false;
    for _ in 0..MAX_TAGS {
        if let Some(behind) = without_tag(rest) {
            rest = behind.trim_start();
        } else if let Some(behind) = without_mark(rest) {
            rest = behind.trim_start();
            is_marked = true;
        } else {
            break;
        }
    }
    (rest, is_marked)
}

fn without_tag(subject: &str) -> Option<&str> {
    let (tag, behind) = subject.strip_prefix('[')?.split_once(']')?;
    (tag.len() <= MAX_TAG).then_some(behind)
}

/// The text after a mark. Without brackets it has to be in capital letters, because people write `External: …`.
fn without_mark(subject: &str) -> Option<&str> {
    let in_brackets = [('(', ')'), ('{', '}'), ('<', '>')]
        .into_iter()
        .find_map(|(open, close)| subject.strip_prefix(open)?.split_once(close));
    if let Some((mark, behind)) = in_brackets {
        let is_known = MARKS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(mark.trim()));
        return is_known.then_some(behind);
    }
    let (mark, behind) = subject.split_once(':')?;
    MARKS.contains(&mark.trim_end()).then_some(behind)
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
        assert_eq!(TABLE.lines().count(), 51);
        assert_eq!(PHRASES.len(), 111);
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
            "[support.institute-of-technology.university.example #33575] AutoReply: Printer",
            "EXTERNAL: Automatic reply: Printer",
            "(External) Automatic reply: Printer",
            "{EXT} Automatische Antwort: Drucker",
            "<Extern> [Spam] Automatische Antwort: Drucker",
            "[Spam?] EXTERNE : Réponse automatique : Imprimante",
            "Message d\u{2019}absence : Imprimante",
            "Re\u{301}ponse automatique : Imprimante",
            "Réponse automatique d\u{2019}absence du bureau : Imprimante",
            "Tra\u{309} lo\u{31b}\u{300}i tu\u{323}\u{31b} đo\u{323}\u{302}ng: Máy in",
            "TRẢ LỜI TỰ ĐỘNG: Máy in",
            "AUTO: Ann ist außer Haus (Rückkehr am 01.12.2026)",
            "AUTO : Ann est absent(e) du bureau (retour 01/12/26)",
            "[External] AUTO: Ann is out of office",
        ] {
            assert!(is_subject(subject), "{subject}");
        }
    }

    #[test]
    fn a_dated_absence_is_in_the_words_of_notes() {
        for (subject, is_one) in [
            (
                "AUTO: Smith, John is out of the office. (returning 05/01/2010)",
                true,
            ),
            ("[EXT] AUTO: Ann is out of office (returning 1/1/27)", true),
            ("AUTO: Ann is out of the office", false),
            ("AUTO: Fahrer abwesend (01.12.2026)", false),
            (
                "Auto: Ann is out of the office (returning 05/01/2010)",
                false,
            ),
            (
                "Re: AUTO: Ann is out of the office (returning 05/01/2010)",
                false,
            ),
            ("AUTO", false),
        ] {
            assert_eq!(is_dated_absence(subject), is_one, "{subject}");
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
            "AUTO: Schaden am Firmenwagen (01.12.2026)",
            "Auto: Fahrer abwesend (01.12.2026)",
            "AUTO: Fahrer abwesend (wer vertritt ihn?)",
            "AUTO: Fahrer abwesend (01.12.2026), wer vertritt ihn?",
            "External: automatic reply: how do I set it?",
            "EXTERNAL: automatic reply",
            "(extern) automatische Antwort",
            "(Frage) Automatische Antwort: wie?",
            "(Fwd) Automatische Antwort: Drucker",
            "Re: EXTERNAL: Automatic reply: Printer",
            "EXTERNAL: Printer",
            "Abwesend: Ann Lee",
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
