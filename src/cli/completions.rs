//! `completions` and `man`: completions for shells and manual pages, generated from the tree of commands.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::CommandResult;
use super::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vestibule completions bash > /usr/share/bash-completion/completions/vestibule
  vestibule completions zsh > ~/.zfunc/_vestibule
  vestibule completions fish > ~/.config/fish/completions/vestibule.fish")]
pub struct Completions {
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vestibule man | man -l -
  vestibule man --dir /usr/local/share/man/man1")]
pub struct Man {
    /// Write a page for every command into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn completions(args: &Completions, mut tree: Command, out: &mut Output) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree, "vestibule", &mut script);
    out.raw(&script)
}

pub fn man(args: &Man, tree: Command, out: &mut Output) -> CommandResult {
    if let Some(folder) = &args.dir {
        let created = std::fs::create_dir_all(folder);
        let written = created.and_then(|()| clap_mangen::generate_to(tree, folder));
        return Ok(written.with_context(|| format!("cannot write to {}", folder.display()))?);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(tree).render(&mut page)?;
    out.raw(&page)
}
