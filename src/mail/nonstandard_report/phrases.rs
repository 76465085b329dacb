//! Subjects and phrases of mail servers, in lower case.

/// Words that mail servers put before `delivery …`.
const DELIVERED: [&str; 4] = ["e-mail ", "email ", "mail ", "message "];

/// Beginnings of the subjects of mail servers.
const SUBJECTS: [&str; 65] = [
    "automatically rejected mail",
    "considered unsolicited bulk email",
    "could not deliver",
    "delayed mail",
    "delivery delay",
    "delivery delayed",
    "delivery error",
    "delivery fail",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery notification",
    "delivery problem",
    "delivery report",
    "delivery status",
    "delivery subsystem",
    "delivery system",
    "delivery warning",
    "failed delivery",
    "failed mail",
    "failed to deliver",
    "failure delivery",
    "failure notice",
    "impossible de remettre",
    "mail could not be delivered",
    "mail error",
    "mail failed, returning",
    "mail failure",
    "mail not delivered",
    "mail system error",
    "mail undeliverable",
    "mailsystem: returned mail",
    "mensaje no entregado",
    "message could not be delivered",
    "message not delivered",
    "message status - undeliverable",
    "message undeliverable",
    "message you sent blocked",
    "messaggio non recapitato",
    "nachricht nicht zustellbar",
    "niet-bezorgd",
    "no se puede entregar",
    "non delivery",
    "non remis",
    "non-delivery",
    "nondeliverable",
    "notification: delivery",
    "não é possível entregar",
    "onbestelbaar",
    "permanent delivery failure",
    "processing error",
    "returned mail",
    "returned to sender",
    "returning message to sender",
    "unable to deliver",
    "undeliverable",
    "undelivered",
    "unzustellbar",
    "user unknown",
    "warning: could not send message",
    "warning: message",
    "échec de la remise",
    "ваше сообщение не",
    "не удается доставить",
    "недоставленное сообщение",
];

/// Phrases that mail servers write near the beginning of the text.
pub(super) const PHRASES: [&str; 76] = [
    "** address not found **",
    "** delivery incomplete **",
    "****** message from interscan",
    "an error has occurred while attempting to deliver",
    "an error was detected while processing",
    "cannot be delivered",
    "could not be delivered",
    "could not be sent",
    "could not deliver",
    "couldn't be delivered",
    "delivery attempt",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery of email to this address",
    "delivery status notification",
    "delivery to the following",
    "did not reach",
    "does not like recipient",
    "encountered an error while being processed",
    "encountered delivery problems",
    "error occurred while trying to deliver",
    "failed recipient",
    "failed to deliver",
    "failed to reach",
    "fehler bei der nachrichtenzustellung an folgende",
    "has been postponed",
    "has not been delivered",
    "has not yet been delivered",
    "hi. this is the deliver program at ",
    "hi. this is the qmail-send program at ",
    "invalid final delivery userid",
    "kon niet worden bezorgd",
    "konnte nicht zugestellt werden",
    "mail box space not enough",
    "mailbox full",
    "mailbox is full",
    "mailbox unavailable",
    "message from yahoo.",
    "message not delivered",
    "n'a pas pu etre delivre",
    "n'a pas pu être remis",
    "no mailbox here by that name",
    "no se pudo entregar",
    "no such user",
    "no valid recipients",
    "non è stato possibile recapitare",
    "non-delivery",
    "not able to deliver",
    "not been able to deliver",
    "over quota",
    "permanent fatal delivery errors",
    "permanent fatal errors",
    "quota exceeded",
    "recipient address rejected",
    "returned to sender",
    "the original message was received at ",
    "there was a problem with its delivery",
    "this is an advisory-only email. please do not reply to it.",
    "this is the mail system at host ",
    "this is the postfix program at host ",
    "this message was created automatically by mail delivery software",
    "this message was created automatically by the mail system",
    "this user doesn't have a",
    "transcript of session",
    "unable to deliver",
    "undeliverable",
    "unknown user",
    "user is unknown",
    "user unknown",
    "was not delivered",
    "wasn't able to deliver",
    "were not delivered",
    "your message with subject: ",
    "не может быть доставлено",
    "не удалось доставить",
];

/// True for a subject that begins like that of a report, or with `mail delivery`, whatever follows.
pub(super) fn begins_like_a_report(subject: &str) -> bool {
    SUBJECTS.iter().any(|start| subject.starts_with(start)) || after_delivered(subject).is_some()
}

/// True for the subject of a report by its first words. Only whole words count: `delivery problems with …` is a
/// person's.
pub(super) fn is_of_a_report(subject: &str) -> bool {
    let starts = |text: &str| {
        SUBJECTS.iter().any(|start| {
            let rest = text.strip_prefix(start);
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
        })
    };
    starts(subject) || after_delivered(subject).is_some_and(starts)
}

/// Text from `delivery` on in `mail delivery …` and the like.
fn after_delivered(subject: &str) -> Option<&str> {
    let mut words = DELIVERED.iter();
    let rest = words.find_map(|word| subject.strip_prefix(word))?;
    let after = rest.strip_prefix("delivery")?;
    (!after.starts_with(char::is_alphabetic)).then_some(rest)
}
