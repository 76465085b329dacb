use super::*;

/// Outcomes of a file, one text a line.
fn read(file: impl AsRef<[u8]>) -> String {
    let lines = match read_people(file.as_ref(), 100) {
        Ok(lines) => lines,
        Err(error) => return format!("file: {error}"),
    };
    let texts = lines.iter().map(|line| match &line.person {
        Ok(person) => {
            let groups = person.groups.as_ref().map(|groups| {
                let names: Vec<_> = groups.iter().map(GroupName::as_str).collect();
                names.join("+")
            });
            format!(
                "{} {} {} {} {}",
                line.line,
                person.address,
                person.kind.map_or("-", AccountKind::as_str),
                groups.as_deref().unwrap_or("-"),
                person.verified
            )
        }
        Err(mistake) => format!("{} {mistake}", line.line),
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_dialects_of_spreadsheets_say_the_same() {
    let expected =
        "2 ann@corp.example internal staff+Domain Users true\n3 bob@partner.example - - false";
    for file in [
        "address,kind,groups,verified\nann@corp.example,internal,staff;Domain Users,yes\nbob@partner.example,,,no\n",
        "\u{feff}address,kind,groups,verified\r\nann@corp.example,internal,staff;Domain Users,YES\r\nbob@partner.example,,,\r\n",
        "Address;Kind;Groups;Verified\r\nann@corp.example;Internal;\"staff;Domain Users\";yes\r\nbob@partner.example;;;no",
        "address\tkind\tgroups\tverified\nann@corp.example\tinternal\tstaff; Domain Users\tyes\nbob@partner.example\t\t\t\n",
        "\"address\",\"kind\",\"groups\",\"verified\"\n\"ann@corp.example\",\"internal\",\"staff;Domain Users;\",\"yes\"\n\"bob@partner.example\",\"\",\"\",\"no\"\n",
        "verified,groups,address,kind\nyes,staff;Domain Users, ann@corp.example ,internal\nno,,bob@partner.example,\n,,,\n\n",
    ] {
        assert_eq!(read(file), expected, "{file:?}");
    }
}

#[test]
fn every_end_of_a_line_ends_it() {
    let expected =
        "2 ann@corp.example - - true\n3 bob@corp.example - - false\n5 cid@corp.example - - false";
    for end in ["\n", "\r\n", "\r"] {
        let lines = [
            "\u{feff}address,verified",
            "ann@corp.example,yes",
            "bob@corp.example,",
            "",
            "cid@corp.example,no",
        ];
        assert_eq!(read(lines.join(end)), expected, "{end:?}");
        assert_eq!(read(lines.join(end) + end), expected, "{end:?} at the end");
    }
    // Line ends are found wherever the boundaries of the buffer fall.
    for capacity in 1..20 {
        let text = "address\rann@corp.example\r\nbob@corp.example\n\rcid@corp.example\r\n";
        let source = std::io::BufReader::with_capacity(capacity, text.as_bytes());
        let mut file = PeopleFile::open(source).expect("columns");
        let mut found = Vec::new();
        while let Some(line) = file.next_line().expect("read") {
            let person = line.person.expect("a person");
            found.push(format!("{} {}", line.line, person.address));
        }
        let people = [
            "2 ann@corp.example",
            "3 bob@corp.example",
            "5 cid@corp.example",
        ];
        assert_eq!(found, people, "{capacity}");
    }
    // A field cannot span several lines, whatever their end is.
    let said = read("address,groups\rann@corp.example,\"staff\rvpn\"\rbob@corp.example,\r");
    assert!(said.starts_with("2 has an unclosed quote"), "{said}");
    assert!(said.ends_with("4 bob@corp.example - - false"), "{said}");
}

#[test]
fn only_the_address_is_needed() {
    assert_eq!(
        read("address\nann@corp.example\n\n bob@corp.example\n"),
        "2 ann@corp.example - - false\n4 bob@corp.example - - false"
    );
}

#[test]
fn each_mistake_has_its_line_and_remedy() {
    for (line, says) in [
        ("ann@corp.example,,,", None),
        ("not-an-address,,,", Some("address: \"not-an-address\"")),
        ("Ann <ann@corp.example>,,,", Some("address: ")),
        (
            "ann@corp.example,admin,,",
            Some("neither internal nor external"),
        ),
        ("ann@corp.example,,,true", Some("neither yes nor no")),
        ("ann@corp.example,,\"a,b\",", Some("without a comma")),
        (
            "ann@corp.example,,a\u{200b}b,",
            Some("not the name of a group"),
        ),
        (
            "ann@corp.example,,",
            Some("the number of fields is 3, and the first line has 4"),
        ),
        (
            "ann@corp.example,,a,b,c",
            Some("put a field with a separator in it in quotes"),
        ),
        (
            "ann@corp.example,,\"staff\nyes",
            Some("has an unclosed quote"),
        ),
    ] {
        let said = read(format!("address,kind,groups,verified\n{line}\n"));
        assert!(said.starts_with("2 "), "{line:?}: {said}");
        match says {
            Some(says) => assert!(said.contains(says), "{line:?}: {said}"),
            None => assert_eq!(said, "2 ann@corp.example - - false"),
        }
    }
    let latin1 = b"address,groups\nann@corp.example,B\xfcro\n";
    assert!(read(latin1).contains("save the file as \"CSV UTF-8\""));
}

#[test]
fn a_file_without_good_columns_is_refused_as_a_whole() {
    for (file, says) in [
        (&b""[..], "has no line with the names"),
        (b"ann@corp.example,internal\n", "is not a column"),
        (b"address,kind,adress\n", "\"adress\" is not a column"),
        (b"kind,groups\n", "has no column address"),
        (b"address,kind,Kind\n", "the column kind occurs twice"),
        (b"\xff\xfea\0d\0", "is UTF-16"),
        (b"address,\xfc\n", "not UTF-8"),
    ] {
        let said = read(file);
        assert!(said.starts_with("file: ") && said.contains(says), "{said}");
    }
}

#[test]
fn a_message_repeats_only_the_start_of_a_field() {
    let said = read(format!("address\n{}\n", "x".repeat(60_000)));
    assert!(said.len() < 500, "{}", said.len());
}

#[test]
fn a_line_is_bounded_and_the_next_one_is_read() {
    let said = read(format!(
        "address\n{}\nann@corp.example\n",
        "x".repeat(200_000)
    ));
    assert_eq!(
        said,
        "2 is longer than 64 KiB\n3 ann@corp.example - - false"
    );
}

#[test]
fn a_form_accepts_a_limited_number_of_lines() {
    let text = "address\n".to_owned() + &"x\n".repeat(3);
    assert_eq!(read_people(text.as_bytes(), 3).expect("lines").len(), 3);
    let refusal = read_people(text.as_bytes(), 2).expect_err("too many");
    assert!(
        matches!(refusal, PeopleFileError::TooManyLines(2)),
        "{refusal}"
    );
}
