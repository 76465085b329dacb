//! Tests of the plans of the operators' lists, in every combination of their filters.

use super::{check, open_database, plans};
use crate::access::AccessSettings;
use crate::domain::{
    AccountKind, AccountStatus, DestinationName, EmailAddress, PortalName, QueuedMailState, Reason,
    RequestState, Timestamp, Verdict,
};
use crate::store::accounts::customer_lists;
use crate::store::audit::operator_actions;
use crate::store::hooks::failed_calls;
use crate::store::ledger::counts;
use crate::store::ledger::dropped_domains;
use crate::store::ledger::find;
use crate::store::ledger::lists;
use crate::store::ledger::request_lists;
use crate::store::ledger::search_index;
use crate::store::ledger::simulate;
use crate::store::requests::destinations;
use crate::store::requests::request;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::sent_and_queued_mail;
use crate::store::{
    AuditFilter, CustomerFilter, FailedCallFilter, LedgerFilter, ListOrder, Page, QueuedMailFilter,
    RequestFilter, WhatIf,
};

#[test]
fn no_page_scans_or_sorts_a_table_that_grows() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let portal = || Some(PortalName::parse("it").expect("a name"));
    let then = Timestamp::from_second(1_800_000_000).expect("a time");
    let page = |after: Option<&str>| Page {
        limit: 50,
        after: after.map(ToOwned::to_owned),
    };

    let orders = [ListOrder::NewestFirst, ListOrder::OldestFirst];
    let periods = [
        (None, None),
        (Some(then), None),
        (None, Some(then)),
        (Some(then), Some(then)),
    ];
    for verdict in [None, Some(Verdict::Dropped)] {
        for reason in [None, Some(Reason::Bounce)] {
            for portal in [None, portal()] {
                for (since, before) in periods {
                    for after in [None, Some("before-1")] {
                        for order in orders {
                            let filter = LedgerFilter {
                                verdict,
                                reason,
                                portal: portal.clone(),
                                received_after: since,
                                received_before: before,
                                order,
                                page: page(after),
                                ..LedgerFilter::default()
                            };
                            check("messages", session, |c| lists::entries(c, &filter));
                        }
                    }
                }
            }
        }
    }
    let states = RequestState::ALL.iter().copied().map(Some);
    for state in states.chain([None]) {
        for portal in [None, portal()] {
            for reason in [None, Some(Reason::AccountPending)] {
                for (since, before) in periods {
                    for after in [None, Some("before-1")] {
                        for order in orders {
                            let filter = RequestFilter {
                                state,
                                portal: portal.clone(),
                                reason,
                                received_before: before,
                                received_after: since,
                                order,
                                page: page(after),
                                ..RequestFilter::default()
                            };
                            check("requests", session, |c| request_lists::requests(c, &filter));
                        }
                    }
                }
            }
        }
    }
    for kind in [None, Some(AccountKind::Internal)] {
        for status in [None, Some(AccountStatus::Blocked)] {
            for domain in [None, Some("corp.example".to_owned())] {
                for search in [None, Some("ann".to_owned())] {
                    for undeliverable in [false, true] {
                        let filter = CustomerFilter {
                            kind,
                            status,
                            domain: domain.clone(),
                            search: search.clone(),
                            undeliverable,
                            ..CustomerFilter::default()
                        };
                        for after in [None, Some("m@corp.example")] {
                            let filter = CustomerFilter {
                                page: page(after),
                                ..filter.clone()
                            };
                            check("customers", session, |c| customer_lists::list(c, &filter));
                        }
                        for (since, before) in periods {
                            for (after, order) in orders
                                .map(|order| [(None, order), (Some("7-7"), order)])
                                .concat()
                            {
                                let filter = CustomerFilter {
                                    created_after: since,
                                    created_before: before,
                                    order: Some(order),
                                    page: page(after),
                                    ..filter.clone()
                                };
                                let name = "customers by time";
                                check(name, session, |c| customer_lists::list(c, &filter));
                            }
                        }
                    }
                }
            }
        }
    }
    check("index", session, |c| search_index::next_batch(c, 100));
    check("index", session, search_index::has_unused);
    check("not indexed", session, find::not_indexed);
    let hook = DestinationName::parse("directory").expect("a name");
    let account = || Some(EmailAddress::parse("ann@corp.example").expect("an address"));
    for account in [None, account()] {
        for (since, until) in periods {
            for after in [None, Some("7-7")] {
                let states = QueuedMailState::ALL.iter().copied().map(Some);
                for state in states.chain([None]) {
                    let filter = QueuedMailFilter {
                        account: account.clone(),
                        state,
                        since,
                        until,
                        page: page(after),
                    };
                    let list = |c: &Tx| sent_and_queued_mail::queued_mail(c, &filter);
                    check("queued mail", session, list);
                }
                for event in [None, Some("request.released".to_owned())] {
                    let filter = FailedCallFilter {
                        hook: hook.clone(),
                        account: account.clone(),
                        event: event.clone(),
                        since,
                        until,
                        page: page(after),
                    };
                    let list = |c: &Tx| failed_calls::failed_calls(c, &filter);
                    check("failed calls", session, list);
                }
            }
        }
    }
    check("given up mail", session, |c| {
        sent_and_queued_mail::count_given_up(c, then.into())
    });
    check("the rows of a list of requests", session, |c| {
        request::by_numbers(c, &[1, 2])
    });
    let portals = [PortalName::parse("it").expect("a name")];
    check("waiting requests", session, |c| {
        destinations::waiting_requests(c, &portals)
    });
    check("waiting calls", session, |c| {
        destinations::waiting_calls(c, &hook)
    });
    for (name, plans) in [
        ("stopped", plans(session, destinations::stopped_requests)),
        ("stopped backlog", plans(session, counts::stopped_backlog)),
    ] {
        let index = "INDEX request_stopped (portal>?)";
        let is_used = plans[0].1.iter().any(|line| line.contains(index));
        assert!(is_used, "{name}: {plans:#?}");
    }
    for operator in [None, Some("ann".to_owned())] {
        for event in [None, Some("request.released".to_owned())] {
            for (since, until) in periods {
                for after in [None, Some("7-7")] {
                    let filter = AuditFilter {
                        operator: operator.clone(),
                        event: event.clone(),
                        since,
                        until,
                        page: page(after),
                    };
                    let plans = plans(session, |c| operator_actions::audit(c, &filter));
                    let index = match (&operator, &event) {
                        (None, None) => "event_operator_time (at",
                        (Some(_), _) => "event_operator_actor (actor=?",
                        (None, Some(_)) => "event_operator_name (name=?",
                    };
                    // Without a period or a cursor, the index is read from its end.
                    let index = index.split(" (at").next().expect("a name");
                    assert!(plans[0].1[0].contains(index), "{plans:#?}");
                    let sorts = |line: &String| line.contains("TEMP B-TREE");
                    assert!(!plans[0].1.iter().any(sorts), "{plans:#?}");
                }
            }
        }
    }
    for after in [None, Some("7-corp.example")] {
        check("dropped domains", session, |c| {
            dropped_domains::domains(c, Millis(0), &page(after))
        });
    }
    check("verdicts by day", session, |c| counts::by_day(c, Millis(0)));
    check("requests by state", session, counts::requests);
    check("entries", session, |c| {
        counts::entries(c, Timestamp::UNIX_EPOCH)
    });
    check("proofs", session, |c| {
        counts::verification_times(c, Millis(0))
    });
    for state in [
        RequestState::Held,
        RequestState::Released,
        RequestState::Failed,
    ] {
        check("backlog", session, |c| counts::backlog(c, state));
    }
    for domain in [None, Some("corp.example".to_owned())] {
        let what = WhatIf {
            draft: AccessSettings::default(),
            since: then,
            portal: portal(),
            domain,
            most: 20,
        };
        check("what-if", session, |c| {
            simulate::simulate(c, &what, |_, _| {})
        });
    }
}

#[test]
fn the_requests_of_an_address_are_looked_up_by_its_accounts() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let account = EmailAddress::parse("ann@corp.example").expect("an address");
    let then = Timestamp::from_second(1_800_000_000).expect("a time");
    for state in [None, Some(RequestState::Held)] {
        for reason in [None, Some(Reason::AccountPending)] {
            for since in [None, Some(then)] {
                for order in [ListOrder::NewestFirst, ListOrder::OldestFirst] {
                    let filter = RequestFilter {
                        state,
                        account: Some(account.clone()),
                        reason,
                        received_after: since,
                        order,
                        ..RequestFilter::default()
                    };
                    check("requests of an address", session, |c| {
                        request::list(c, &filter)
                    });
                    let found = plans(session, |c| request::list(c, &filter));
                    let lines: Vec<_> = found.iter().flat_map(|(_, plan)| plan).collect();
                    for index in ["(key=?)", "account_former (former_key=?)"] {
                        let is_used = lines.iter().any(|line| line.contains(index));
                        assert!(is_used, "{index}: {lines:#?}");
                    }
                }
            }
        }
    }
}
