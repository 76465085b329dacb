//! `vestibule operators`.

use std::fs;

use crate::house::House;

#[test]
fn an_operator_comes_and_goes() {
    let house = House::new();
    let file = house.path("password");
    fs::write(&file, "correct horse battery\nwhat stands below\n").expect("written");
    let file = file.display().to_string();
    let add = ["operators", "add", "ann", "--role", "agent"];
    let add: Vec<&str> = [&add[..], &["--password-file", &file]].concat();
    let ran = house.run(&add);
    assert_eq!(
        (ran.status, ran.out.as_str()),
        (0, "ann may log in as agent\n"),
        "{}",
        ran.err
    );
    let again = house.run(&add);
    assert_eq!(again.status, 1);
    assert!(again.err.contains("there is an operator ann already"));

    let listed = house.run(&["operators", "list", "--json"]).objects();
    assert_eq!(listed[0]["name"], "ann");
    let revoked = house.run(&["operators", "revoke", "ann"]);
    assert_eq!(revoked.out, "ann: 0 sessions have ended\n");
    assert_eq!(house.run(&["operators", "remove", "ann"]).status, 0);
    assert_eq!(house.run(&["operators", "remove", "ann"]).status, 3);
    assert_eq!(house.run(&["operators", "revoke", "ann"]).status, 3);
}

#[test]
fn a_password_that_is_too_short_is_refused() {
    let house = House::new();
    let file = house.path("password");
    fs::write(&file, "hunter2\n").expect("written");
    let file = file.display().to_string();
    let ran = house.run(&["operators", "add", "ann", "--password-file", &file]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("at least 15 characters, and this one 7"),
        "{}",
        ran.err
    );
}
