//! `vestibule templates`, and the findings of `check` about a folder.

use super::harness::Harness;
use crate::support::program::run;

#[test]
fn the_built_in_files_are_exported_used_and_never_overwrite_others() {
    let harness = Harness::new();
    let folder = harness.path("own");
    let folder = folder.display().to_string();
    let listed = run(&["templates", "list", "--json"], &[]).objects();
    let written = run(&["templates", "export", &folder], &[]);
    assert_eq!(written.status, 0, "{}", written.err);
    assert_eq!(written.out.lines().count(), listed.len());
    for file in ["letter.txt", "texts.de.toml", "operators/access.html"] {
        assert!(harness.path("own").join(file).exists(), "{file}");
    }
    assert_eq!(run(&["templates", "check", &folder], &[]).status, 0);

    harness.write("own/letter.txt", "{{ t('letter.title') }");
    let again = run(&["templates", "export", &folder], &[]);
    assert_eq!((again.status, again.out.as_str()), (0, ""));
    let refused = run(&["templates", "check", &folder], &[]);
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("letter.txt:1"), "{}", refused.err);

    let one = harness.path("one").display().to_string();
    let export = ["templates", "export", &one, "home.html", "--json"];
    let written = run(&export, &[]).objects();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["file"], format!("{one}/home.html"));
    let usable = run(&["templates", "check", &one, "--json"], &[]).objects();
    assert_eq!(usable[0]["folder"], one);
    let unknown = run(&["templates", "export", &one, "nothing.html"], &[]);
    assert_eq!(unknown.status, 3);
    let missing = run(&["templates", "check", "/nosuch"], &[]);
    assert_eq!((missing.status, missing.out.as_str()), (3, ""));
    assert_eq!(missing.err, "error: there is no folder /nosuch\n");
    let none = harness.run(&["templates", "check"]);
    assert!(none.err.contains("is not set"), "{}", none.err);
}
