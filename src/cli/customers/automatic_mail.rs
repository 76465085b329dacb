//! `customers take-automatic` and `customers drop-automatic`: whether automatic mail of an account is accepted.

use super::{AccountArg, print_account};
use crate::cli::context::Context;
use crate::cli::failure::CommandResult;
use crate::cli::output::Output;
use crate::domain::AccountStatus;
use crate::operations::CustomerAction;

pub(super) async fn run(
    context: &Context,
    account_arg: &AccountArg,
    action: CustomerAction,
    out: &mut Output,
) -> CommandResult {
    let account = account_arg.act(context, action).await?;
    let what = match account.status {
        _ if !account.takes_automatic => {
            "may not send automatic mail: it is dropped, except at portals that accept it"
        }
        AccountStatus::Active => "may send automatic mail: it is accepted as if a person wrote it",
        AccountStatus::Pending | AccountStatus::Blocked => {
            "may send automatic mail once the account is active"
        }
    };
    print_account(&account, what, out)
}
