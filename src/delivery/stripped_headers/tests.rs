//! Tests of removed fields, by a table of forgeries and by properties that no table can cover.

use proptest::prelude::*;

use super::*;

fn strip(raw: &[u8]) -> Vec<u8> {
    let hostname = Domain::parse("gate.corp.example").expect("a domain");
    kept_ranges(raw, &hostname)
        .into_iter()
        .flat_map(|range| raw[range].to_vec())
        .collect()
}

#[test]
fn fields_of_our_names_are_left_out_however_written() {
    for (came, passed_on) in [
        ("From: a\r\n\r\nbody", "From: a\r\n\r\nbody"),
        (
            "X-Vestibule-Account: internal\r\nA: b\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "A: b\r\nx-VESTIBULE-account:internal\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        ("A: b\r\nX-Vestibule-Account : y\r\n\r\n", "A: b\r\n\r\n"),
        (
            "A: b\r\nX-Vestibule-Account\t: y\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\r\nX-Vestibule-Groups: a,\r\n b,\r\n\tc\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\r\nX-Vestibule-Account\r\n : y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        ("A: b\r\nX_Vestibule_Account: y\r\n\r\n", "A: b\r\n\r\n"),
        (
            "A: b\r\n\0X-Vesti\x08bule-Account: y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "A: b\r\nX-Vestibule-Anything-New: y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        // After a line end that only some readers see.
        (
            "A: b\rX-Vestibule-Account: y\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\x0cX-Vestibule-Account: y\r\n z\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\u{85}X-Vestibule-Account: y\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\u{2028}X-Vestibule-Account: y\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\u{2029}\0X-Vestibule-Account: y\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: \u{445} X-Vestibule-Account: y\r\n\r\n",
            "A: \u{445} X-Vestibule-Account: y\r\n\r\n",
        ),
        // A reader that does not end a line there leaves the character out of the name.
        (
            "A: b\r\nX-Vesti\u{85}bule-Account: y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        ("A: b\r\nX-Vesti\x0cbule-Account: y\r\n\r\n", "A: b\r\n\r\n"),
        (
            "A: b\r\n \rX-Vestibule-Account: y\r\n\r\n",
            "A: b\r\n \r\n\r\n",
        ),
        ("A: b\r\n\rX-Vestibule-Account: y\r\n\r\n", "A: b\r\n\r\n"),
        // Such a line end and a fold on top of the name.
        (
            "A: b\r\n\x0b X-Vestibule-Account: y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "A: b\r\n\x0c\tX-Vestibule-Account: y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "A: b\r\n\x1c X-Vestibule-Account: y\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "\x0b X-Vestibule-Account: y\r\nA: b\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        ("A: b\r\x0b X-Vestibule-Account: y\r\n\r\n", "A: b\r\n\r\n"),
        ("X-Vestibule-A: b\rFrom: c\r\nD: e\r\n\r\n", "D: e\r\n\r\n"),
        // Not a field, but it would become part of one of ours.
        (" and more\r\n of it\r\nA: b\r\n\r\n", "A: b\r\n\r\n"),
        // The last line has no line end.
        ("A: b\r\nX-Vestibule-Account: y", "A: b\r\n"),
        ("A: b\rX-Vestibule-Account: y", "A: b"),
        // A bare LF ends a line, too, in a file that was replayed.
        (
            "A: b\nX-Vestibule-Account: y\nC: d\n\nbody",
            "A: b\nC: d\n\nbody",
        ),
        // Not a name of ours.
        ("X-Vestibulum: y\r\n\r\n", "X-Vestibulum: y\r\n\r\n"),
        (
            "A: X-Vestibule-Account: y\r\n\r\n",
            "A: X-Vestibule-Account: y\r\n\r\n",
        ),
        (
            "A: b\r\n X-Vestibule-Account: y\r\n\r\n",
            "A: b\r\n X-Vestibule-Account: y\r\n\r\n",
        ),
        (
            "A: b\r\n\r\nX-Vestibule-Account: y\r\n",
            "A: b\r\n\r\nX-Vestibule-Account: y\r\n",
        ),
        (
            "\r\nX-Vestibule-Account: y\r\n",
            "\r\nX-Vestibule-Account: y\r\n",
        ),
        ("", ""),
    ] {
        let shown = String::from_utf8(strip(came.as_bytes())).expect("ASCII");
        assert_eq!(shown, passed_on, "{came:?}");
    }
}

#[test]
fn results_that_claim_our_name_are_left_out() {
    for (came, passed_on) in [
        (
            "Authentication-Results: gate.corp.example; dmarc=pass\r\nA: b\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "A: b\r\nAUTHENTICATION-results :\r\n (x) \"Gate.Corp.Example\" 1;\r\n\tdmarc=pass\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\rAuthentication-Results: gate.corp.example; dmarc=pass\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        // A fold before the colon.
        (
            "A: b\r\nAuthentication-Results\r\n : gate.corp.example; dmarc=pass\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\rAuthentication-Results \r\n \r\n\t: gate.corp.example; dmarc=pass\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\u{85}Authentication-Results: gate.corp.example; dmarc=pass\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "A: b\r\n\x0b Authentication-Results: gate.corp.example; dmarc=pass\r\n\r\n",
            "A: b\r\n\r\n",
        ),
        (
            "A: b\u{2028}Authentication-Results: gate.corp.example; dmarc=pass\r\nC: d\r\n\r\n",
            "A: b\r\nC: d\r\n\r\n",
        ),
        (
            "Authentication-Results\r\n : mx.corp.example; none\r\n\r\n",
            "Authentication-Results\r\n : mx.corp.example; none\r\n\r\n",
        ),
        // This many open brackets must not make another field ours.
        (
            &format!(
                "Authentication-Results: {}gate.corp.example\r\n\r\n",
                "()".repeat(300)
            ),
            "\r\n",
        ),
        // Fields of another machine. In two rows, a field of ours follows after a line end that only some readers
        // see.
        (
            "Authentication-Results: mx.corp.example; dmarc=pass\r\n\r\n",
            "Authentication-Results: mx.corp.example; dmarc=pass\r\n\r\n",
        ),
        (
            "Authentication-Results: mx; none\rAuthentication-Results: gate.corp.example; none\r\n\r\n",
            "Authentication-Results: mx; none\r\n\r\n",
        ),
        (
            "Authentication-Results: mx; none\rX-Vestibule-Account: internal\r\n\r\n",
            "Authentication-Results: mx; none\r\n\r\n",
        ),
        (
            "X-Authentication-Results: gate.corp.example; none\r\n\r\n",
            "X-Authentication-Results: gate.corp.example; none\r\n\r\n",
        ),
    ] {
        let shown = String::from_utf8(strip(came.as_bytes())).expect("ASCII");
        assert_eq!(shown, passed_on, "{came:?}");
    }
}

/// The lines of a header as the most lenient reader sees them.
fn generous_lines(raw: &[u8]) -> Vec<Vec<u8>> {
    let end = strict_end(raw);
    let mut lines = vec![Vec::new()];
    for (i, &byte) in raw[..end].iter().enumerate() {
        if line_end_length(&raw[..=i]) > 0 {
            lines.push(Vec::new());
        } else if let Some(line) = lines.last_mut() {
            line.push(byte);
        }
    }
    lines
}

/// End of the header section for a reader that knows LF only.
fn strict_end(raw: &[u8]) -> usize {
    let mut at = 0;
    for line in raw.split_inclusive(|&b| b == b'\n') {
        if is_empty_line(line) {
            return at;
        }
        at += line.len();
    }
    at
}

fn is_forged(line: &[u8]) -> bool {
    let name: Vec<u8> = line
        .iter()
        .take_while(|&&b| b != b':')
        .filter(|b| b.is_ascii_graphic())
        .map(|b| {
            if *b == b'_' {
                b'-'
            } else {
                b.to_ascii_lowercase()
            }
        })
        .collect();
    !line.first().is_some_and(|&b| is_blank(b)) && name.starts_with(PREFIX)
}

/// Fragments that a forger would combine.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "X-Vestibule-Account",
        "x_VESTIBULE-",
        "X-Vesti",
        "bule-Verified",
        "From: a@b.example",
        ": internal",
        " ",
        "\t",
        "\r\n",
        "\r",
        "\n",
        "\x0b",
        "\u{85}",
        "\u{2029}",
        "\u{445}",
        "\0",
        "ü",
        "word",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_reader_finds_a_field_of_ours_from_outside(raw in hostile()) {
        let passed_on = strip(&raw);
        for line in generous_lines(&passed_on) {
            prop_assert!(!is_forged(&line), "{:?}", String::from_utf8_lossy(&line));
        }
        // The header section does not end earlier than before, either.
        prop_assert_eq!(
            passed_on.len() - strict_end(&passed_on),
            raw.len() - strict_end(&raw)
        );
    }

    #[test]
    fn the_body_is_never_touched(raw in hostile(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut message = raw[..strict_end(&raw)].to_vec();
        if !message.is_empty() {
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&body);
        let passed_on = strip(&message);
        prop_assert!(passed_on.ends_with(&body));
    }

    #[test]
    fn a_message_without_such_fields_is_passed_on_unchanged(raw in prop::collection::vec(any::<u8>(), 0..400)) {
        let small = raw.to_ascii_lowercase();
        prop_assume!(!small.windows(4).any(|w| w == b"vest"));
        prop_assume!(!raw.first().is_some_and(|&b| is_blank(b)));
        prop_assert_eq!(strip(&raw), raw);
    }
}
