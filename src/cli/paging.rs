//! `--limit` and `--after`, for lists that can be long.

use clap::Args;

use crate::store::Page;

#[derive(Debug, Clone, Args)]
pub struct Paging {
    /// Maximum number of rows
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Continue after this cursor, which the previous page ended with
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

impl Paging {
    pub fn page(self) -> Page {
        Page {
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            after: self.after,
        }
    }
}
