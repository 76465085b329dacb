//! Pages after "This was not me": the customer's page names the ways out that exist, and that of a refused message
//! offers no release, nor does the list of requests.

use super::*;
use crate::store::Refused;

#[tokio::test]
async fn the_page_names_only_the_ways_out_that_exist() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let (verification, now) = (&harness.config.verification, Timestamp::now());
    let tokens = vec![token.hash().into()];
    let ttl = verification.token_ttl;
    let round = harness
        .store
        .settle_and_claim_mail([], tokens, verification.limits, ttl, now)
        .await;
    let (_, claimed) = round.expect("claimed");
    assert_eq!(claimed.verification_mails.len(), 1);
    let message = format!("/messages/{}", entry.ledger);
    let release = "value=\"release\"";
    let page = harness.get(&session, &message).await;
    assert!(page.body.contains(release), "{}", page.body);
    let refused = harness.store.refuse(token.hash(), 4 * ttl, now).await;
    assert!(
        matches!(refused, Ok(Refused::Recorded { .. })),
        "{refused:?}"
    );
    let page = harness.get(&session, &message).await;
    assert!(
        page.body.contains("only they can release it") && !page.body.contains(release),
        "{}",
        page.body
    );
    for filter in ["", "?state=discarded"] {
        let list = harness.get(&session, &format!("/requests{filter}")).await;
        assert!(
            list.body.contains("only they can release it") && !list.body.contains(release),
            "{}",
            list.body
        );
    }
    let id = entry.ledger.to_string();
    let act = [("action", "release"), ("request", id.as_str())];
    let ask = [&act[..], &[("ask", "yes")]].concat();
    let asked = harness.post(&session, "/requests", &ask).await;
    assert!(
        asked.body.contains("No request is selected"),
        "{}",
        asked.body
    );
    let refused = harness.post(&session, "/requests", &act).await;
    assert!(
        refused.body.contains("0 of 1 released.")
            && refused.body.contains("was discarded by the person"),
        "{}",
        refused.body
    );
    let link = "They can undo it with their link, which expires";
    let request = "request one more mail with a new link";
    let page = harness.get(&session, "/customers/ann@corp.example").await;
    assert!(
        page.body.contains(link) && page.body.contains(request),
        "{}",
        page.body
    );
    // Times within a week are relative: "in 6 days".
    assert!(
        !page.body.to_lowercase().contains("until in"),
        "{}",
        page.body
    );
    let block = [("action", "block")];
    harness
        .post(&session, "/customers/ann@corp.example", &block)
        .await;
    let page = harness.get(&session, "/customers/ann@corp.example").await;
    assert!(page.body.contains("While the account is blocked"));
    assert!(!page.body.contains(link) && !page.body.contains(request));
    for path in [message.as_str(), "/requests"] {
        let page = harness.get(&session, path).await;
        assert!(
            page.body.contains("nobody can release it") && !page.body.contains(release),
            "{path}: {}",
            page.body
        );
    }
}
