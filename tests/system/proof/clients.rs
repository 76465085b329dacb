//! Hostile SMTP clients: the commands of each, and the expected replies.

use std::fmt::Write;

const MIB: usize = 1024 * 1024;

/// Octets of one field, so that the header is just within its limit.
const HEADER: usize = MIB / 4 - 100;

/// All octets of a client, and the expected reply codes, in order; a code that is repeated several times is
/// written once, as `CODE*`.
pub struct Client {
    pub name: &'static str,
    pub says: fn() -> Vec<u8>,
    pub hears: &'static str,
}

pub const FRONT: &str = "EHLO a.example\r\nMAIL FROM:<bob@partner.example>\r\nRCPT TO:<it-help@corp.example>\r\nDATA\r\n";

/// A message with these header fields, followed by a command.
pub fn message(fields: &str, body: &str) -> Vec<u8> {
    format!("{FRONT}From: bob@partner.example\r\n{fields}\r\n{body}\r\n.\r\nNOOP\r\n").into_bytes()
}

/// An invalid end of data, followed by a second transaction.
fn smuggled(end: &str) -> Vec<u8> {
    let second = "MAIL FROM:<eve@partner.example>\r\nRCPT TO:<it-help@corp.example>\r\nDATA\r\n";
    format!("{FRONT}Subject: x\r\n\r\na{end}{second}From: smuggled@partner.example\r\n\r\n.\r\n")
        .into_bytes()
}

pub const CLIENTS: &[Client] = &[
    Client {
        name: "an endless line",
        says: || [&b"EHLO "[..], &vec![b'a'; 20 * MIB], b"\r\nNOOP\r\n"].concat(),
        hears: "220 500 250",
    },
    Client {
        name: "a command that never ends",
        says: || vec![b'a'; 20 * MIB],
        hears: "220",
    },
    Client {
        name: "a header field that fills the header",
        says: || message(&format!("X: {}\r\n", "a".repeat(HEADER)), ""),
        hears: "220 250* 354 250*",
    },
    Client {
        name: "a header field beyond the limit of the header",
        says: || message(&format!("X: {}\r\n", "a".repeat(MIB / 4)), ""),
        hears: "220 250* 354 552 250",
    },
    Client {
        name: "a message that is all header",
        says: || {
            let fields = "Subject: x\r\n".repeat(MIB / 4);
            format!("{FRONT}{fields}.\r\nNOOP\r\n").into_bytes()
        },
        hears: "220 250* 354 552 250",
    },
    Client {
        name: "From in megabytes of commas",
        says: || message(&format!("From: {}\r\n", "a,".repeat(3 * MIB)), ""),
        hears: "220 250* 354 552 250",
    },
    Client {
        name: "From in as many commas as there may be",
        says: || message(&format!("From: {}\r\n", "a,".repeat(HEADER / 2)), ""),
        hears: "220 250* 354 250*",
    },
    Client {
        name: "a signature of as many fields as there may be",
        says: || {
            let names = "a:".repeat(HEADER / 2 - 500);
            message(
                &format!(
                    "DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h={names}from; bh=AAAA; b=AAAA\r\n"
                ),
                "",
            )
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "a header field beyond the limit of the message",
        says: || message(&format!("X: {}\r\n", "a".repeat(9 * MIB)), ""),
        hears: "220 250* 354 552 250",
    },
    Client {
        name: "a hundred thousand recipients",
        says: || {
            let mut said = String::from("EHLO a.example\r\nMAIL FROM:<bob@partner.example>\r\n");
            for number in 0..100_000 {
                let _ = write!(said, "RCPT TO:<it-help+{number}@corp.example>\r\n");
            }
            said.into_bytes()
        },
        hears: "220 250* 452*",
    },
    Client {
        name: "ten thousand levels of multipart",
        says: || {
            let mut body = String::new();
            for level in 0..10_000 {
                let _ = write!(
                    body,
                    "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
                );
            }
            format!("{FRONT}From: bob@partner.example\r\n{body}deep\r\n.\r\nNOOP\r\n").into_bytes()
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "ten thousand messages in each other",
        says: || {
            let level = "Content-Type: message/rfc822\r\n\r\n";
            message(&level.repeat(10_000), "deep")
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "ten thousand header fields",
        says: || {
            let fields = (0..10_000).fold(String::new(), |mut all, number| {
                let _ = write!(all, "X-{number}: y\r\n");
                all
            });
            message(&fields, "")
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "as many of the shortest fields as there may be",
        says: || message(&"a:\r\n".repeat(HEADER / 4), ""),
        hears: "220 250* 354 250*",
    },
    Client {
        name: "a subject of encoded words (RFC 2047)",
        says: || {
            message(
                &format!("Subject: {}\r\n", "=?utf-8?q?=C3=A4?=\r\n ".repeat(10_000)),
                "",
            )
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "one encoded word as long as a header may be",
        says: || {
            message(
                &format!(
                    "Subject: =?utf-8?b?{}?=\r\n",
                    "w6TD".repeat(HEADER / 4 - 100)
                ),
                "",
            )
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "a parameter in five thousand pieces (RFC 2231)",
        says: || {
            let pieces = (0..5_000).fold(String::new(), |mut all, number| {
                let _ = write!(all, ";\r\n name*{number}*=%C3%A4%C3%A4");
                all
            });
            message(&format!("Content-Disposition: attachment{pieces}\r\n"), "")
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "a comment in ten thousand brackets",
        says: || message(&format!("To: {}a@b.example\r\n", "(".repeat(10_000)), ""),
        hears: "220 250* 354 250*",
    },
    Client {
        name: "ten thousand addresses",
        says: || {
            message(
                &format!("To: {}x@b.example\r\n", "a@b.example,\r\n ".repeat(10_000)),
                "",
            )
        },
        hears: "220 250* 354 250*",
    },
    Client {
        name: "LF . LF",
        says: || smuggled("\n.\n"),
        hears: "220 250* 354 550",
    },
    Client {
        name: "LF . CRLF",
        says: || smuggled("\n.\r\n"),
        hears: "220 250* 354 550",
    },
    Client {
        name: "CRLF . LF",
        says: || smuggled("\r\n.\n"),
        hears: "220 250* 354 550",
    },
    Client {
        name: "CR . CR",
        says: || smuggled("\r.\r"),
        hears: "220 250* 354 250",
    },
    Client {
        name: "CR . CRLF",
        says: || smuggled("\r.\r\n"),
        hears: "220 250* 354 250",
    },
    Client {
        name: "CRLF NUL . CRLF",
        says: || smuggled("\r\n\0.\r\n"),
        hears: "220 250* 354 250",
    },
    Client {
        name: "NUL and eight bits in commands",
        says: || {
            b"EHLO a\0b\r\nEHLO \xff\xfe\r\nMAIL FROM:<a\0@b.example>\r\n\x80\x81\r\nNOOP\r\n"
                .to_vec()
        },
        hears: "220 500* 250",
    },
    Client {
        name: "rubbish in a pipeline",
        says: || b"one\r\ntwo three\r\n:;!\r\n".repeat(10_000),
        hears: "220 500* 421",
    },
    Client {
        name: "STARTTLS where there is none",
        says: || b"EHLO a\r\nSTARTTLS\r\nNOOP\r\n".to_vec(),
        hears: "220 250 502 250",
    },
    Client {
        name: "a browser",
        says: || b"POST / HTTP/1.1\r\nHost: a\r\n\r\nEHLO a\r\n".to_vec(),
        hears: "220 421",
    },
    Client {
        name: "BDAT, which is not offered",
        says: || b"EHLO a\r\nBDAT 4 LAST\r\nNOOP\r\n".to_vec(),
        hears: "220 250 502 250",
    },
];
