//! The command `gvpie`: parse, run, map the result to an exit code.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = gvpie::cli::Arguments::parse(); // exits with 2 where they cannot be understood
    gvpie::cli::log(&arguments);
    match gvpie::cli::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("gvpie: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
