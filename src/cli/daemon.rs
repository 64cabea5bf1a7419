//! `gvpie daemon`: the autonomous loop, a process of its own.

use super::{Arguments, Failure, above_zero, data, signals};
use crate::daemon::{self, Stop};
use clap::Args;
use std::io::IsTerminal;
use std::time::Duration;

/// Run the scripts that are due, every few seconds, for ever.
///
/// Each cycle asks a server (`gvpie serve`) whether it is well, has it run the scripts whose turn it is,
/// three at most, and records what came of them in the folder: runs, the map, metrics. Scripts and goals are
/// added with `gvpie script` and `gvpie goal`, or with plain SQL. One daemon works in a folder at a time.
/// SIGTERM and Ctrl+C end it when what is under way is done, 5 seconds later at most.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the server is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    pub api: String,
    /// Let the server be on another machine; else nothing beyond this one is ever connected to
    #[arg(long)]
    pub allow_network: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub work: Loop,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: data::Folder,
}

/// How the loop goes.
#[derive(Debug, Args)]
pub struct Loop {
    /// From one cycle to the next
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = interval)]
    pub interval: Duration,
    /// Run scripts in Python, too, in a sandbox (bwrap) without network; else they are skipped
    #[arg(long)]
    pub allow_python: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = above_zero(text)?;
    let interval = Duration::try_from_secs_f64(seconds).ok().filter(|some| !some.is_zero());
    interval.ok_or_else(|| "expected seconds, from a billionth on".into())
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], before the first cycle.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let stop = Stop::default();
    signals::ask(&stop)?;
    let wanted = wanted(arguments, &options.work, &options.data)?;
    let (api, allow_network) = (options.api.clone(), options.allow_network);
    Ok(daemon::run(daemon::Options { api, allow_network, ..wanted }, &stop)?)
}

/// What a daemon is asked for here, on this machine.
///
/// # Errors
/// Those of the folder.
pub(super) fn wanted(
    arguments: &Arguments,
    work: &Loop,
    folder: &data::Folder,
) -> Result<daemon::Options, Failure> {
    Ok(daemon::Options {
        data: folder.path()?,
        api: String::new(),
        interval: work.interval,
        allow_network: false,
        allow_python: work.allow_python,
        token: std::env::var("GVPIE_TOKEN").ok().filter(|token| !token.is_empty()),
        progress: !arguments.json && std::io::stderr().is_terminal(),
    })
}
