//! Operators' queries and actions, independent of the interface: the same query has the same answer, and the
//! same JSON, at the command line, on the pages and in the API.
//!
//! In: the configuration, the [`store`](crate::store), and the query or action. Out: a type whose fields are
//! the contract. Nothing here prints, parses arguments or speaks HTTP.
//! A database that cannot be read or written is an error of every operation; `# Errors` names the others.
//! Pages, API and command line write to the store only through this module; the test
//! `only_operations_writes_for_operators` in `tests/integration/structure.rs` holds them to it.

mod access;
mod bulk_actions;
mod customers;
mod deliveries;
mod directory;
mod dropped;
mod explain;
mod find;
mod import;
mod lists;
mod nodes;
mod operators;
mod people_csv;
mod person_data;
mod requests;
mod second_factor;
mod sender_access;
mod simulate;
mod sso_sign_in;
mod stats;
mod try_address;
mod waiting_causes;

pub use access::{
    AccessView, ChangeTerms, RevisionDifference, RevisionEntry, SettingsChanged, block_unlisted,
    change_settings, compare_revisions, list_revisions,
};
pub use bulk_actions::{MAX_BULK_ITEMS, Outcomes, Tally, concerns_item};
pub use customers::{
    AccountNotes, CustomerAction, CustomerOutcome, NOT_A_CUSTOMER, act_on_customer, add_customer,
    complete_erasure, find_customer, forget_customer, list_denials, may_get_mail, note_account,
    warning_about,
};
pub use deliveries::{
    QueueState, QueueStatus, find_queue, list_down, list_queue_states, list_queues, retry_queue,
    set_paused,
};
pub use directory::{UserError, create_user, remove_user, replace_user};
pub use dropped::{
    DroppedMessage, RecoveryOutcome, SenderChoice, is_recoverable, list_recoverable, needs_portal,
    recover, recover_many, recover_matching, release_dropped, release_many_dropped,
};
pub use explain::{Explanation, bare_message_id, explain_entry, find_entry};
pub use find::{Found, FoundMessage, find};
pub use import::{Import, ImportOutcome, ImportTally, ImportedPerson, import_people};
pub use lists::{ago, earlier, order_by_time};
pub use nodes::{NodeStatus, compare_nodes, count_nodes, list_nodes};
pub use operators::{
    AccessEnded, NewToken, TokenRequest, add_operator, change_password, end_all_keys, end_session,
    end_token, find_operator, log_in_with_password, make_token, record_failed_login,
    remove_operator,
};
pub use people_csv::{PeopleFile, PeopleFileError, PeopleLine, read_people};
pub use person_data::{PersonData, collect_person_data};
pub use requests::{RequestAction, act_on_request, act_on_requests, matching_requests};
pub use second_factor::{
    NewSecondFactor, add_second_factor, begin_second_factor, log_in_with_code,
    renew_recovery_codes, reset_second_factor, turn_off_second_factor,
};
pub use sender_access::{DenyAction, GrantAction, deny_access, grant_access};
pub use simulate::{PREVIEW_PERIOD, Preview, Simulation, preview};
pub use sso_sign_in::{
    SignInOutcome, begin_sign_in, probe_provider, sign_in_operator, take_attempt,
};
pub use stats::{Stats, count_messages};
pub use try_address::{
    AddressInput, AddressVerdict, decide_address, input_for, kind_of, standing_of,
};
pub use waiting_causes::{WaitingCause, WaitingCauses, count_unreachable, is_former_portal};
