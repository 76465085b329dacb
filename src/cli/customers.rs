//! `customers`: accounts, by address.

mod add;
mod automatic_mail;
mod describe;
mod export;
mod forget;
mod import;
mod resend;

use clap::{ArgGroup, Args, Subcommand};

use super::context::{Context, Global, actor};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, count_of, note, or_dash, time};
use super::paging::Paging;
use super::time_range::TimeRange;
use super::value_parser::word;
use crate::domain::{
    Account, AccountId, AccountKind, AccountStatus, EmailAddress, QueuedMailState,
};
use crate::operations::{self, CustomerAction, act_on_customer, find_customer, note_account};
use crate::store::{CustomerFilter, ListOrder, QueuedMail, QueuedMailFilter};

pub use describe::{describe, describe_denial};
use describe::{describe_refused, show, warn_about_denials};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule customers list --status pending
  vestibule customers show ann@corp.example
  vestibule customers verify ann@corp.example")]
pub enum Command {
    /// List accounts, by address
    #[command(after_help = "\
Examples:
  vestibule customers list
  vestibule customers list --kind external --domain partner.example
  vestibule customers list --status pending --json --limit 1000
  vestibule customers list --since 7d --newest-first
  vestibule customers list --undeliverable")]
    List(ListCustomers),
    /// Show one account and its requests
    #[command(after_help = "\
Examples:
  vestibule customers show ann@corp.example
  vestibule customers show 01J9ZQ4D8N0VXB7T3WKE5M2R6C --json")]
    Show(AccountArg),
    /// Create an account, if the access settings allow it, and send the verification mail if one is
    /// due
    #[command(after_help = "\
Examples:
  vestibule customers add ann@corp.example
  vestibule customers add bob@partner.example --portal it")]
    Add(add::Args),
    /// Vouch for an address: the account becomes active and its held requests are released
    #[command(after_help = "\
Examples:
  vestibule customers verify ann@corp.example")]
    Verify(AccountArg),
    /// Block an account, or all accounts that are not on any list: their mail is dropped from now on
    #[command(after_help = "\
--unlisted blocks the active accounts that the current access settings would not
allow: they were created under wider settings.

Examples:
  vestibule customers block spammer@corp.example
  vestibule customers block --unlisted --dry-run
  vestibule customers block --unlisted")]
    Block(BlockArgs),
    /// Unblock an account
    #[command(after_help = "\
Examples:
  vestibule customers unblock ann@corp.example")]
    Unblock(AccountArg),
    /// Accept automatic mail of an account, such as that of a monitor, while the account is active
    #[command(after_help = "\
Automatic mail of the account is then accepted as if a person wrote it, absence
notes included. Delivery reports and mail loops are dropped all the same.
To accept automatic mail of all active accounts, set automatic_mail of the
portal.

Examples:
  vestibule customers take-automatic monitor@corp.example")]
    TakeAutomatic(AccountArg),
    /// Drop automatic mail of an account again, except at portals that accept it
    #[command(after_help = "\
Examples:
  vestibule customers drop-automatic monitor@corp.example")]
    DropAutomatic(AccountArg),
    Resend(resend::Args),
    /// List verification mail that is delayed by the limits, waits for a retry, or was given up
    #[command(after_help = "\
Examples:
  vestibule customers mail
  vestibule customers mail --account ann@corp.example
  vestibule customers mail --state refused
  vestibule customers mail --until 1d --json")]
    Mail(ListMail),
    Import(import::Args),
    Export(export::Args),
    Forget(forget::Args),
}

#[derive(Debug, Args)]
pub struct ListCustomers {
    /// Only internal or only external accounts
    #[arg(long, value_parser = word(AccountKind::ALL, AccountKind::as_str))]
    kind: Option<AccountKind>,
    /// Only accounts of this status
    #[arg(long, value_parser = word(AccountStatus::ALL, AccountStatus::as_str))]
    status: Option<AccountStatus>,
    /// Only accounts of this domain
    #[arg(long)]
    domain: Option<String>,
    /// Only accounts that our mail cannot reach
    #[arg(long)]
    undeliverable: bool,
    /// Only accounts with this text in their address
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    period: TimeRange,
    /// List the newest first, instead of by address
    #[arg(long)]
    newest_first: bool,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub struct ListMail {
    /// Only mail to this address
    #[arg(long, value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    account: Option<EmailAddress>,
    /// Only waiting mail, only mail that is being sent, or the mail that was given up (refused)
    #[arg(long, value_parser = word(QueuedMailState::ALL, QueuedMailState::as_str))]
    state: Option<QueuedMailState>,
    #[command(flatten)]
    period: TimeRange,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub struct AccountArg {
    /// The account's address, or its id
    #[arg(value_name = "ADDRESS")]
    account: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["account", "unlisted"]))]
pub struct BlockArgs {
    /// The account's address, or its id
    #[arg(value_name = "ADDRESS")]
    account: Option<String>,
    /// All active accounts that the current access settings would not allow
    #[arg(long)]
    unlisted: bool,
    /// Only list these accounts
    #[arg(long, requires = "unlisted")]
    dry_run: bool,
}

const COLUMNS: &[TableColumn<Account>] = columns! { account: Account;
    "address" Whole => account.address,
    "kind" Word => account.kind,
    "status" Word => account.status,
    "held" Number => account.held,
    "verified by" Text 1 => or_dash(account.verified_by.as_ref()),
    "created" Time 2 => time(account.created_at),
    "by" Whole 3 => account.created_by,
};

const MAIL: &[TableColumn<QueuedMail>] = columns! { queued: QueuedMail;
    "address" Whole => queued.address,
    "kind" Word => queued.mail.kind,
    "state" Word 2 => queued.mail.state,
    "portal" Whole 1 => or_dash(queued.mail.portal.as_ref()),
    "due" Time => queued.mail.due_at.map_or_else(|| "-".to_owned(), time),
    "attempts" Number => queued.mail.attempts,
    "last error" Wrapped => or_dash(queued.mail.last_error.as_ref()),
};

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    match command {
        Command::List(list) => {
            let listed = context
                .store
                .customers(CustomerFilter {
                    kind: list.kind,
                    status: list.status,
                    domain: list.domain,
                    search: list.search,
                    undeliverable: list.undeliverable,
                    created_after: list.period.since,
                    created_before: list.period.until,
                    order: list.newest_first.then_some(ListOrder::NewestFirst),
                    page: list.paging.page(),
                })
                .await?;
            out.list(&listed.rows, listed.next.as_deref(), COLUMNS)
        }
        Command::Show(account_arg) => {
            let account = account_arg.find(&context).await?;
            show(&context, &account, out).await
        }
        Command::Add(args) => add::run(&context, args, out).await,
        Command::Verify(account_arg) => {
            let account = account_arg.find(&context).await?;
            verify(&context, &account, out).await
        }
        Command::Block(BlockArgs {
            account: None,
            dry_run,
            ..
        }) => block_unlisted(&context, dry_run, out).await,
        Command::Block(BlockArgs {
            account: Some(account),
            ..
        }) => {
            let account_arg = AccountArg { account };
            let account = account_arg.act(&context, CustomerAction::Block).await?;
            print_account(&account, "is blocked; mail from it is dropped", out)
        }
        Command::Unblock(account_arg) => {
            let before = account_arg.find(&context).await?;
            let action = CustomerAction::Unblock;
            let done = act_on_customer(&context.store, action, &before, actor()).await?;
            let account = done.account;
            let what = match before.status {
                AccountStatus::Blocked => format!("is {} again", account.status),
                AccountStatus::Pending | AccountStatus::Active => {
                    format!("was not blocked; it is {}", account.status)
                }
            };
            print_account(&account, &what, out)
        }
        Command::TakeAutomatic(account_arg) => {
            automatic_mail::run(&context, &account_arg, CustomerAction::TakeAutomatic, out).await
        }
        Command::DropAutomatic(account_arg) => {
            automatic_mail::run(&context, &account_arg, CustomerAction::DropAutomatic, out).await
        }
        Command::Mail(list) => {
            let filter = QueuedMailFilter {
                account: list.account,
                state: list.state,
                since: list.period.since,
                until: list.period.until,
                page: list.paging.page(),
            };
            let listed = context.store.queued_mail(filter).await?;
            out.list(&listed.rows, listed.next.as_deref(), MAIL)
        }
        Command::Import(args) => import::run(&context, args, out).await,
        Command::Export(args) => export::run(&context, args, out).await,
        Command::Forget(args) => forget::run(&context, args, out).await,
        Command::Resend(args) => resend::run(&context, args, out).await,
    }
}

impl AccountArg {
    /// Finds the account with this address or id.
    async fn find(&self, context: &Context) -> Result<Account, CommandError> {
        if self.account.parse::<AccountId>().is_err() {
            EmailAddress::parse_stored(&self.account)
                .map_err(|cause| CommandError::Usage(format!("{:?}: {cause}", self.account)))?;
        }
        let found = find_customer(&context.store, &self.account).await?;
        found.ok_or_else(|| CommandError::not_found("account", &self.account))
    }

    /// Applies the action; returns the account in its new state.
    async fn act(
        &self,
        context: &Context,
        action: CustomerAction,
    ) -> Result<Account, CommandError> {
        let account = self.find(context).await?;
        let done = act_on_customer(&context.store, action, &account, actor()).await?;
        Ok(done.account)
    }
}

/// Blocks or lists the active accounts that the access settings would not let in.
async fn block_unlisted(context: &Context, dry_run: bool, out: &mut Output) -> CommandResult {
    if !dry_run {
        let blocked = operations::block_unlisted(&context.store, &actor()).await?;
        return if out.is_json() {
            out.object(&serde_json::json!({ "blocked": blocked }))
        } else {
            out.line(format_args!("{} blocked", count_of(blocked, "account")))
        };
    }
    let mut accounts = Vec::new();
    for id in context.store.unlisted_account_ids().await? {
        accounts.extend(context.store.customer_by_id(id).await?);
    }
    out.list(&accounts, None, COLUMNS)
}

async fn verify(context: &Context, account: &Account, out: &mut Output) -> CommandResult {
    if account.status == AccountStatus::Blocked {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "{} is {}; vestibule customers unblock {} first",
            account.address,
            account.status,
            account.address
        )));
    }
    let done = act_on_customer(&context.store, CustomerAction::Verify, account, actor()).await?;
    let notes = note_account(&context.store, &context.config, &done.account).await?;
    if let Some(refused) = notes.refused {
        let refused = describe_refused(done.account.status, refused);
        note(format_args!("refused: {refused}"));
    }
    warn_about_denials(&done.account, &notes.denials);
    let Some(released) = done.released else {
        return print_account(account, "was already active", out);
    };
    let what = match released {
        1 => "is active; 1 held request is released".to_owned(),
        n => format!("is active; {n} held requests are released"),
    };
    print_account(&done.account, &what, out)
}

/// Prints the action, or the account in its new state.
fn print_account(account: &Account, what: &str, out: &mut Output) -> CommandResult {
    if out.is_json() {
        out.object(account)
    } else {
        out.line(format_args!("{} {what}", account.address))
    }
}
