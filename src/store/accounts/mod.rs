//! Accounts: the actions of persons and of operators on them.

pub(super) mod blocks;
pub(super) mod customer_lists;
pub(super) mod customers;
pub(super) mod directory;
pub(super) mod directory_users;
pub(super) mod groups;
pub(super) mod link_standing;
pub(super) mod look_at_link;
pub(super) mod newly_denied_accounts;
pub(super) mod not_me;
pub(super) mod people;
pub(super) mod replies;
pub(super) mod undo_not_me;
pub(super) mod unlisted_accounts;
pub(super) mod verify_account;
pub(super) mod verify_by_operator;
