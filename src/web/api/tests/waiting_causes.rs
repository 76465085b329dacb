//! Released requests that wait because of the configuration, a pause or an outage: their cause, and the refusal of a
//! retry. Failed requests whose retry is refused.

use super::*;
use crate::domain::{DestinationName, EmailAddress, LedgerId, PortalName};
use crate::store::{DownDestination, Page, RunLimits, Settlement};
use crate::verification::tests::sample;
use crate::web::api::api_route::Call;
use crate::web::api::requests::retry_failed;
use crate::web::bearer::TokenHolder;

#[tokio::test]
async fn requests_of_a_removed_portal_are_listed_with_the_cause_and_not_retried() {
    let mut config = sample::config("");
    config.portals.retain(|portal| portal.name.as_str() != "it");
    let harness = Harness::with(config).await;
    let agent = token(&harness, Role::Agent).await;
    let request = harness.mail("ann@corp.example", "one").await.ledger;
    let path = format!("/requests/{request}");
    let released = post(&harness, &agent, &format!("{path}/release"), Value::Null).await;
    let released = object(&released, StatusCode::OK);
    assert_eq!(released["state"], "released");
    let cause = "waiting: portal it is not in the configuration";
    assert_eq!(released["last_error"], cause);
    assert_eq!(released["next_attempt_at"], Value::Null);
    let shown = object(&get(&harness, &agent, &path).await, StatusCode::OK);
    assert_eq!(shown["last_error"], cause);
    let listed = get(&harness, &agent, "/requests?portal=it").await;
    let listed = object(&listed, StatusCode::OK);
    assert_eq!(listed["items"][0]["last_error"], cause);
    for path in ["/ledger?", "/find?q=one&", "/dropped?", "/stats?"] {
        let answer = get(&harness, &agent, &format!("{path}portal=it")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        let unknown = get(&harness, &agent, &format!("{path}portal=sales")).await;
        is_problem(
            &unknown,
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
            "unknown",
        );
    }
    let retried = post(&harness, &agent, &format!("{path}/retry"), Value::Null).await;
    is_problem(&retried, StatusCode::CONFLICT, "not-possible", "no portal");
}

#[tokio::test]
async fn a_request_of_a_paused_destination_is_not_retried() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let request = harness.mail("ann@corp.example", "one").await.ledger;
    let act = async |path: &str| post(&harness, &admin, path, Value::Null).await;
    let retry = format!("/requests/{request}/retry");
    act(&format!("/requests/{request}/release")).await;
    act("/deliveries/helpdesk/pause").await;
    is_problem(
        &act(&retry).await,
        StatusCode::CONFLICT,
        "not-possible",
        "paused",
    );
    let several = json!({"requests": [request.to_string()]});
    let several = post(&harness, &admin, "/requests/retry", several).await;
    assert_eq!(object(&several, StatusCode::OK)["failed"], 1);
    act("/deliveries/helpdesk/resume").await;
    let retried = object(&act(&retry).await, StatusCode::OK);
    assert_eq!(retried["last_error"], Value::Null);
}

#[tokio::test]
async fn a_request_of_a_destination_that_is_down_or_asked_for_a_pause_is_not_retried() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let request = harness.mail("ann@corp.example", "one").await.ledger;
    let act = async |path: &str| post(&harness, &admin, path, Value::Null).await;
    let retry = format!("/requests/{request}/retry");
    act(&format!("/requests/{request}/release")).await;
    let next_try_at: Timestamp = "2099-01-01T00:00:00Z".parse().expect("a time");
    for (is_requested, cause) in [
        (false, "destination helpdesk is down"),
        (
            true,
            "destination helpdesk asked for a pause until 2099-01-01T00:00:00Z",
        ),
    ] {
        let down = DownDestination {
            name: DestinationName::parse("helpdesk").expect("a name"),
            since: Timestamp::now(),
            next_try_at,
            last_error: "503".to_owned(),
            is_requested,
        };
        harness.store.record_down(down).await.expect("recorded");
        let refused = act(&retry).await;
        is_problem(&refused, StatusCode::CONFLICT, "not-possible", cause);
        let remedy = "vestibule deliveries retry helpdesk";
        assert!(refused.body.contains(remedy), "{}", refused.body);
        let path = format!("/requests/{request}");
        let shown = object(&get(&harness, &admin, &path).await, StatusCode::OK);
        assert_eq!(shown["last_error"], format!("waiting: {cause}"));
        assert_eq!(shown["next_attempt_at"], "2099-01-01T00:00:00Z");

        act("/deliveries/helpdesk/retry").await;
        let retried = object(&act(&retry).await, StatusCode::OK);
        assert_eq!(retried["last_error"], Value::Null);
    }
}

/// Releases requests of Ann and of Bea, and has them fail for good.
async fn fail_two_requests(harness: &Harness, agent: &str) -> [LedgerId; 2] {
    let ann = harness.mail("ann@corp.example", "one").await.ledger;
    let bea = harness.mail("bea@corp.example", "two").await.ledger;
    let both = json!({"requests": [ann.to_string(), bea.to_string()]});
    post(harness, agent, "/requests/release", both).await;
    let workers = harness.store.clone().for_workers();
    let destination = DestinationName::parse("helpdesk").expect("a name");
    let portals = [PortalName::parse("it").expect("a name")];
    let now = Timestamp::now();
    let lease = now + SignedDuration::from_mins(5);
    let limits = |runs| RunLimits {
        runs,
        requests: 1,
        octets: u64::MAX,
    };
    let round =
        workers.settle_and_claim_deliveries(&destination, &portals, [], limits(10), lease, now);
    let runs = round.await.expect("claimed").runs;
    let deliveries: Vec<_> = runs.into_iter().flatten().collect();
    let failed = || Settlement::Failed {
        cause: "550".to_owned(),
    };
    let outcomes = deliveries.iter().map(|one| (&one.claim, failed(), now));
    let none = limits(0);
    let round =
        workers.settle_and_claim_deliveries(&destination, &portals, outcomes, none, lease, now);
    round.await.expect("settled");
    [ann, bea]
}

#[tokio::test]
async fn a_retry_of_all_failed_requests_goes_on_after_those_that_it_refuses() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let [ann, _] = fail_two_requests(&harness, &agent).await;
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let account = harness.store.customer(&address).await.expect("read");
    let blocked = harness.store.block_customer(
        account.expect("an account").id,
        Actor::operator("root", Interface::CommandLine),
        Timestamp::now(),
    );
    blocked.await.expect("blocked");
    let retry = async |after: Option<&str>| {
        let all = json!({"all_failed": true, "portal": "it", "after": after});
        post(&harness, &agent, "/requests/retry", all).await
    };
    let refused = ann.to_string();
    for (after, done, failed) in [
        (Some(refused.as_str()), 1, 0),
        (None, 0, 1),
        (Some(refused.as_str()), 0, 0),
    ] {
        let retried = object(&retry(after).await, StatusCode::OK);
        assert_eq!(
            (&retried["done"], &retried["failed"], &retried["next"]),
            (&json!(done), &json!(failed), &Value::Null)
        );
        if failed == 1 {
            let oldest = &retried["items"][0];
            assert_eq!(oldest["id"], refused);
            let refusal = oldest["problem"].to_string();
            assert!(refusal.contains("the account is blocked"), "{refusal}");
        }
    }
    let unknown = retry(Some("x")).await;
    is_problem(
        &unknown,
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "after",
    );
    let named = json!({"requests": [refused], "after": refused});
    let named = post(&harness, &agent, "/requests/retry", named).await;
    assert_eq!(named.status, StatusCode::UNPROCESSABLE_ENTITY);
    let listed = get(&harness, &agent, "/deliveries").await;
    let listed = object(&listed, StatusCode::OK);
    assert_eq!(listed["items"][0]["waiting"], 1);
    assert_eq!(listed["items"][0]["failed"], 1);
}

#[tokio::test]
async fn a_retry_of_all_failed_requests_leads_from_page_to_page() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let [ann, bea] = fail_two_requests(&harness, &agent).await;
    let call = Call {
        app: state_of(&harness),
        holder: TokenHolder {
            name: harness.operator(Role::Agent).await,
            role: Role::Agent,
            scope: None,
        },
    };
    let mut after = None;
    for (id, next) in [(ann, json!(ann.to_string())), (bea, Value::Null)] {
        let page = Page { limit: 1, after };
        let retried = retry_failed(&call, None, page).await.expect("retried");
        let retried = serde_json::to_value(&retried.0).expect("JSON");
        assert_eq!(retried["items"][0]["id"], id.to_string());
        assert_eq!((&retried["done"], &retried["next"]), (&json!(1), &next));
        after = retried["next"].as_str().map(str::to_owned);
    }
}
