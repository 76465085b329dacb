//! One command line of the client, without its CRLF, split into verb and argument.

use super::reply::Reply;

/// The verbs that the server distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Helo,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
    StartTls,
    Xforward,
    /// Defined in an RFC but not offered here.
    NotOffered,
    /// Request line of a browser, whose body could contain SMTP commands.
    Http,
}

/// A command with a parsed verb and an unparsed argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    pub verb: Verb,
    /// Without surrounding blanks.
    pub argument: &'a str,
}

impl<'a> Command<'a> {
    /// Splits a line. Verbs are case-insensitive (RFC 5321 2.4).
    ///
    /// # Errors
    /// The reply to a line that is not text or not a command: NUL and other control characters, 8-bit octets
    /// that are not UTF-8, an unknown verb.
    pub fn read(line: &'a [u8]) -> Result<Self, Reply> {
        let text = std::str::from_utf8(line).map_err(|_| Reply::NotText)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Reply::NotText);
        }
        let (word, argument) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let verb = match word.to_ascii_uppercase().as_str() {
            "EHLO" => Verb::Ehlo,
            "HELO" => Verb::Helo,
            "MAIL" => Verb::Mail,
            "RCPT" => Verb::Rcpt,
            "DATA" => Verb::Data,
            "RSET" => Verb::Rset,
            "NOOP" => Verb::Noop,
            "QUIT" => Verb::Quit,
            "VRFY" => Verb::Vrfy,
            "HELP" => Verb::Help,
            "STARTTLS" => Verb::StartTls,
            "XFORWARD" => Verb::Xforward,
            "AUTH" | "BDAT" | "ETRN" | "EXPN" | "LHLO" | "SAML" | "SEND" | "SOML" | "TURN"
            | "XCLIENT" => Verb::NotOffered,
            "CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT" => {
                Verb::Http
            }
            _ => return Err(Reply::UnknownCommand),
        };
        Ok(Self {
            verb,
            argument: argument.trim_matches([' ', '\t']),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_commands() {
        for (line, verb, argument) in [
            ("QUIT", Verb::Quit, ""),
            ("quit ", Verb::Quit, ""),
            (
                "mAiL   FROM:<a@b.example> SIZE=1 ",
                Verb::Mail,
                "FROM:<a@b.example> SIZE=1",
            ),
            ("NOOP\tfor you", Verb::Noop, "for you"),
            ("POST / HTTP/1.1", Verb::Http, "/ HTTP/1.1"),
        ] {
            assert_eq!(
                Command::read(line.as_bytes()),
                Ok(Command { verb, argument })
            );
        }
    }

    #[test]
    fn a_line_that_is_not_a_command_is_refused() {
        for (line, reply) in [
            (&b""[..], Reply::UnknownCommand),
            (b" QUIT", Reply::UnknownCommand),
            (b"QUITE", Reply::UnknownCommand),
            (b"QU\0IT", Reply::NotText),
            (b"NOOP \x1b[0m", Reply::NotText),
            (b"NOOP a\rb", Reply::NotText),
            (b"EHLO \xff\xfe", Reply::NotText),
            ("EHLO \u{85}".as_bytes(), Reply::NotText),
        ] {
            assert_eq!(Command::read(line), Err(reply), "{line:?}");
        }
    }
}
