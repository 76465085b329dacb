use super::*;

#[test]
fn a_text_is_cut_at_its_placeholders() {
    use TextPiece::{Placeholder, Plain};
    for (text, expected) in [
        ("", vec![]),
        ("a {b} c", vec![Plain("a "), Placeholder("b"), Plain(" c")]),
        ("{b}{c}", vec![Placeholder("b"), Placeholder("c")]),
        ("a { b", vec![Plain("a "), Plain("{ b")]),
        ("„{b}“", vec![Plain("„"), Placeholder("b"), Plain("“")]),
    ] {
        assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
    }
}

/// Every language has every text of English, in each of its plural forms, and uses the same placeholders;
/// only `one`, `two` and `zero` may omit the number.
#[test]
fn every_language_is_complete() {
    let texts = Texts::load(None).expect("the built-in texts");
    let mut wrong = Vec::new();
    for (language, table) in &texts.languages {
        let mut expected = BTreeMap::new();
        for (name, english) in &texts.english {
            let placeholders = placeholders(english);
            match name.rsplit_once('.') {
                Some((text, "one")) if texts.english.contains_key(&format!("{text}.other")) => {}
                Some((text, "other")) => {
                    for form in language.plurals() {
                        expected.insert(format!("{text}.{form}"), placeholders.clone());
                    }
                }
                _ => {
                    expected.insert(name.clone(), placeholders);
                }
            }
        }
        for (name, placeholders) in &expected {
            let Some(text) = table.get(name) else {
                wrong.push(format!("{}: {name} is missing", language.as_str()));
                continue;
            };
            let mut missing: BTreeSet<_> = placeholders - &super::placeholders(text);
            if [".one", ".two", ".zero"]
                .iter()
                .any(|form| name.ends_with(form))
            {
                missing.remove("count");
            }
            let is_trimmed = text.trim() == text || name == "language.space";
            if !missing.is_empty() || !is_trimmed {
                wrong.push(format!("{}: {name} lacks {missing:?}", language.as_str()));
            }
        }
        let unknown = table.keys().filter(|name| !expected.contains_key(*name));
        wrong.extend(unknown.map(|name| format!("{}: {name} is unknown", language.as_str())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text part of English mail is ASCII, so it is not encoded, and its link stays unbroken in the source.
#[test]
fn english_mail_is_ascii() {
    let texts = Texts::load(None).expect("the built-in texts");
    let mail = texts
        .english
        .iter()
        .filter(|(name, _)| name.starts_with("letter."));
    for (name, text) in mail {
        assert!(text.is_ascii(), "{name}: {text}");
    }
}

/// The space before `:`, `;`, `?` and `!` and inside quotation marks is a no-break space.
#[test]
fn french_punctuation_does_not_begin_a_line() {
    let texts = Texts::load(None).expect("the built-in texts");
    for (name, text) in &texts.languages[&language("fr", "").expect("a tag")] {
        for loose in [" :", " ;", " ?", " !", " »", "« "] {
            assert!(!text.contains(loose), "{name}: {text}");
        }
    }
}

/// The article depends on the day, "il 7" but "l’8" and "l’11", so a date stands without one.
#[test]
fn italian_dates_have_no_article() {
    let texts = Texts::load(None).expect("the built-in texts");
    for (name, text) in &texts.languages[&language("it", "").expect("a tag")] {
        assert!(!text.contains("l {date}"), "{name}: {text}");
    }
}

#[test]
fn the_built_in_languages_are_those_that_the_configuration_knows() {
    let tags: Vec<_> = BUILT_IN.iter().map(|(tag, _, _)| *tag).collect();
    assert_eq!(tags, crate::domain::BUILT_IN_LANGUAGES);
}

#[test]
fn an_operator_changes_texts_and_adds_a_language() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a writable folder");
    };
    write("texts.en.toml", "[action]\nconfirm = \"Go\"");
    write(
        "texts.sl.toml",
        "[action]\nconfirm = \"Da\"\n[verify.hint]\ntwo = \"Dve\"\nother = \"Druge\"",
    );
    let texts = Texts::load(Some(folder.path())).expect("good texts");
    let slovene = language("sl", "").expect("a tag");
    assert_eq!(
        texts.get(&Language::default(), "action.confirm"),
        Some("Go")
    );
    assert_eq!(texts.get(&slovene, "action.confirm"), Some("Da"));
    assert_eq!(
        texts.get(&slovene, "date.month.1"),
        Some("January"),
        "English where a text is missing"
    );
    for (name, count, expected) in [
        ("verify.hint", 102, "Dve"),
        ("verify.hint", 3, "Druge"),
        (
            "verify.waiting",
            1,
            "One message from this address is waiting",
        ),
        (
            "verify.waiting",
            101,
            "{count} messages from this address are waiting",
        ),
    ] {
        let text = texts.get_plural(&slovene, name, count);
        assert_eq!(text, Some(expected), "{name} {count}");
    }
    assert_eq!(texts.name(&slovene), "sl");
    assert_eq!(texts.direction(&slovene), "ltr");
}

#[test]
fn a_mistake_is_named_with_its_file() {
    for (source, expected) in [
        ("[action]\nconfrm = \"x\"", "action.confrm"),
        ("[action]\nconfirm = 7", "action.confirm"),
        ("[action]\nconfirm = \"{who}\"", "{who}"),
        ("[action", "TOML"),
        ("[verify.waiting]\nfew = \"{whose}\"", "{whose}"),
        ("[verify.waiting]\nfewer = \"x\"", "verify.waiting.fewer"),
        ("[verify]\ntitle.few = \"x\"", "verify.title.few"),
        ("[language]\ndirection = \"left\"", "ltr"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("texts.fr.toml"), source).expect("writable");
        let said = Texts::load(Some(folder.path()))
            .expect_err(source)
            .to_string();
        assert!(said.starts_with("texts.fr.toml: "), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("texts.pt_BR.toml"), "").expect("writable");
    let said = Texts::load(Some(folder.path()))
        .expect_err("no tag")
        .to_string();
    assert!(
        said.starts_with("texts.pt_BR.toml: ") && said.contains("pt-BR"),
        "{said}"
    );
}
