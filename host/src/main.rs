//! Parses the command line, runs the command, prints an error's chain, and turns the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::cli::main()
}
