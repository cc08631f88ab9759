//! `ndpool completions` and `ndpool man`: what packages ship beside the program.

use clap::CommandFactory;
use clap::error::ErrorKind;
use clap_mangen::Man;

use crate::args::{Cli, CompletionsArgs, ManArgs, usage};
use crate::failure::Failure;
use crate::output::print;

pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ndpool", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives subcommands their full names.
    command.build();
    let command = match &args.command {
        None => command,
        Some(name) => command.find_subcommand(name).cloned().ok_or_else(|| {
            let names: Vec<_> = command.get_subcommands().map(|known| known.get_name()).collect();
            let message = format!("no subcommand `{name}`: there are {}", names.join(", "));
            Failure::Usage(usage("man", ErrorKind::InvalidValue, message))
        })?,
    };
    let mut page = Vec::new();
    let source = format!("ndpool {}", env!("CARGO_PKG_VERSION"));
    Man::new(command).source(source).manual("ndpool").render(&mut page).map_err(Failure::Stdout)?;
    print(&String::from_utf8_lossy(&page))
}
