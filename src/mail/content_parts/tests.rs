//! Which parts are text, and which are files.

use super::*;

/// The texts, and the types of the attachments, of an entity.
fn sort(entity: &str, room: usize) -> (Vec<String>, Vec<String>) {
    let structure = Structure::of(entity.as_bytes());
    let parts = ContentParts::of(&structure, room);
    let files = parts.attachments.iter();
    let files = files.map(|part| part.media().kind().to_owned()).collect();
    (parts.plain().collect(), files)
}

fn multipart(kind: &str, parts: &[(&str, &str)]) -> String {
    let part = |(fields, text): &(&str, &str)| {
        format!("--{kind}\r\nContent-Type: {fields}\r\n\r\n{text}\r\n")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("Content-Type: multipart/{kind}; boundary={kind}\r\n\r\n{parts}--{kind}--")
}

#[test]
fn a_text_of_another_type_is_plain_text() {
    for (fields, is_text) in [
        ("text/x-markdown", true),
        ("text/enriched", true),
        ("Text/X-Plain; charset=utf-8", true),
        ("text/x-markdown\r\nContent-Disposition: inline", true),
        ("text/x-markdown; name=a.md", false),
        (
            "text/x-markdown\r\nContent-Disposition: inline; filename=a.md",
            false,
        ),
        ("text/x-markdown\r\nContent-Disposition: attachment", false),
        ("text/calendar; method=REQUEST", false),
        ("text/vcard", false),
        ("text/csv", false),
        ("text/rfc822-headers", false),
        ("application/x-text", false),
    ] {
        let alone = format!("Content-Type: {fields}\r\n\r\none");
        let (texts, files) = sort(&alone, usize::MAX);
        assert_eq!(
            (texts.len(), files.is_empty()),
            (usize::from(is_text), is_text),
            "{fields}"
        );
        let second = multipart("mixed", &[("text/plain", "first"), (fields, "one")]);
        let (texts, files) = sort(&second, usize::MAX);
        let expected: &[&str] = if is_text {
            &["first", "one"]
        } else {
            &["first"]
        };
        assert_eq!(texts, expected, "{fields}");
        assert_eq!(files.is_empty(), is_text, "{fields}");
    }
}

#[test]
fn a_second_form_of_a_text_is_a_file() {
    let related = multipart(
        "related",
        &[("text/html", "<p>one</p>"), ("text/x-a", "two")],
    );
    let (_, related) = related.split_once(": ").expect("a field");
    let (kind, body) = related.split_once("\r\n\r\n").expect("a body");
    for (parts, texts, files) in [
        (
            &[("text/plain", "one"), ("text/enriched", "<b>one")][..],
            &["one"][..],
            &["text/enriched"][..],
        ),
        (
            &[("text/x-markdown", "*one*"), ("text/html", "<b>one")],
            &["one"],
            &["text/x-markdown"],
        ),
        (&[("text/enriched", "<b>one")], &["<b>one"], &[]),
        (
            &[("text/enriched", "<b>one"), ("text/x-markdown", "*one*")],
            &["<b>one"],
            &["text/x-markdown"],
        ),
        (
            &[("text/plain", " \r\n"), ("text/enriched", "<b>one")],
            &[" \r\n", "<b>one"],
            &[],
        ),
        // Not another form: in the same branch.
        (&[(kind, body)], &["one", "two"], &[]),
    ] {
        let raw = multipart("alternative", parts);
        for room in [usize::MAX, 0] {
            let (found, attached) = sort(&raw, room);
            assert_eq!(attached, files, "{raw}");
            assert_eq!(found.len(), texts.len(), "{raw}");
            if room > 0 {
                assert_eq!(found, texts, "{raw}");
            }
        }
    }
}

#[test]
fn the_first_part_of_a_related_may_have_a_name() {
    let html = ("text/html; name=body.html", "<p>one</p>");
    let related = multipart("related", &[html, ("image/png", "x")]);
    let (_, related) = related.split_once(": ").expect("a field");
    let (kind, body) = related.split_once("\r\n\r\n").expect("a body");
    let plain = ("text/plain", "one");
    for (raw, texts, files) in [
        (multipart("alternative", &[plain, (kind, body)]), 1, 1),
        (multipart("mixed", &[plain, (kind, body)]), 2, 1),
        (multipart("related", &[plain, html]), 1, 1),
    ] {
        let (found, attached) = sort(&raw, usize::MAX);
        assert_eq!((found.len(), attached.len()), (texts, files), "{raw}");
        let structure = Structure::of(raw.as_bytes());
        let parts = ContentParts::of(&structure, usize::MAX);
        let is_shown = attached == ["image/png"];
        assert_eq!(parts.html().next().is_some(), is_shown, "{raw}");
    }
}

#[test]
fn each_text_of_an_mms_is_text() {
    let one = ("text/plain; name=text_0.txt", "one");
    let two = ("text/plain; name=text_1.txt", "two");
    let image = ("image/jpeg; name=a.jpg", "x");
    let slides = ("application/smil; name=b.smil", "x");
    for parts in [&[slides, one, image, two][..], &[image, one, two, slides]] {
        let (texts, files) = sort(&multipart("mixed", parts), usize::MAX);
        assert_eq!((texts.join(" "), files.len()), ("one two".to_owned(), 2));
    }
    let (texts, files) = sort(&multipart("mixed", &[one, image, two]), usize::MAX);
    assert_eq!((texts.len(), files.len()), (1, 2));
    let attached = (
        "text/plain; name=log.txt\r\nContent-Disposition: attachment",
        "log",
    );
    let (texts, files) = sort(&multipart("mixed", &[slides, one, attached]), usize::MAX);
    assert_eq!((texts.len(), files.len()), (1, 2));
}

#[test]
fn texts_and_files_are_in_their_order() {
    let raw = multipart(
        "mixed",
        &[
            ("text/x-a", "one"),
            ("image/png", "x"),
            ("text/plain", "two"),
            ("text/x-b", "three"),
            ("text/csv", "x"),
        ],
    );
    let (texts, files) = sort(&raw, usize::MAX);
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(files, ["image/png", "text/csv"]);
}

#[test]
fn an_inline_text_with_a_name_is_a_file_after_another_text() {
    for fields in [
        "text/plain\r\nContent-Disposition: inline; filename=log.txt",
        "text/plain; name=log.txt\r\nContent-Disposition: inline",
        "text/plain; name=log.txt",
        "text/html; name=a.html\r\nContent-Disposition: inline; filename=a.html",
    ] {
        let (first, files) = sort(&format!("Content-Type: {fields}\r\n\r\none"), usize::MAX);
        assert_eq!(
            (first, files.len()),
            (vec!["one".to_owned()], 0),
            "{fields}"
        );
        let second = multipart("mixed", &[("text/plain", "first"), (fields, "one")]);
        let (texts, files) = sort(&second, usize::MAX);
        assert_eq!(
            (texts, files.len()),
            (vec!["first".to_owned()], 1),
            "{fields}"
        );
    }
}

#[test]
fn the_lines_of_flowed_text_are_joined() {
    for (fields, expected) in [
        ("text/plain; format=flowed", "a b\nc"),
        (
            "Text/Plain; Format=\"Flowed\"; DelSp=Yes; charset=utf-8",
            "ab\nc",
        ),
        ("text/plain; delsp=yes", "a \r\nb\r\nc"),
        ("text/plain; format=fixed", "a \r\nb\r\nc"),
        ("text/x-markdown; format=flowed", "a \r\nb\r\nc"),
    ] {
        let entity = format!("Content-Type: {fields}\r\n\r\na \r\nb\r\nc");
        let (texts, _) = sort(&entity, usize::MAX);
        assert_eq!(texts, [expected], "{fields}");
    }
}
