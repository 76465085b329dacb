//! The routes that accept and drop automatic mail of an account.

use super::*;

const MONITOR: &str = "no-reply@partner.example";

#[tokio::test]
async fn automatic_mail_is_accepted_and_dropped_again_and_the_audit_says_so_once() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let add = async || {
        let person = json!({"address": MONITOR});
        post(&harness, &agent, "/customers", person).await
    };
    let made = object(&add().await, StatusCode::CREATED);
    let warning = made["warnings"][0].as_str().unwrap_or_default();
    let command = format!("vestibule customers take-automatic {MONITOR}");
    assert!(warning.contains(&command), "{warning}");
    let id = made["id"].as_str().expect("an id");
    for (whom, action, accepts) in [
        (id, "take-automatic", true),
        (MONITOR, "take-automatic", true),
        (MONITOR, "drop-automatic", false),
        (id, "drop-automatic", false),
        (id, "take-automatic", true),
    ] {
        let path = format!("/customers/{whom}/{action}");
        let answer = post(&harness, &agent, &path, Value::Null).await;
        let account = object(&answer, StatusCode::OK);
        assert_eq!(account["takes_automatic"], accepts, "{path}");
        assert_eq!(account["id"], id, "{path}");
    }
    let again = object(&add().await, StatusCode::OK);
    assert_eq!(again["warnings"], Value::Null, "{again}");

    let path = "/audit?event=account.takes_automatic";
    let audit = object(&get(&harness, &agent, path).await, StatusCode::OK);
    let rows = audit["items"].as_array().expect("rows");
    let details: Vec<_> = rows.iter().map(|row| &row["detail"]).collect();
    assert_eq!(details, ["on", "off", "on"]);
    for row in rows {
        assert_eq!(
            (&row["actor"], &row["origin"], &row["account"]),
            (&json!("operator:the-agent"), &json!("api"), &json!(MONITOR))
        );
    }
    let nobody = "/customers/nobody@partner.example/take-automatic";
    let unknown = post(&harness, &agent, nobody, Value::Null).await;
    is_problem(&unknown, StatusCode::NOT_FOUND, "not-found", nobody);
}
