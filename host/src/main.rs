//! The program is the library's command line: see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::cli::main()
}
