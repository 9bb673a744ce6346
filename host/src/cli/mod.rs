//! Decides which commands there are, and which exit code each result has. Leaves all else to the layers below.

mod align;
mod bench;
mod check;
mod conn;
mod failure;
mod fingerprint;
mod inspect;
mod install;
mod open;
mod output;
mod serve;
mod submit;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::control::signals::Signals;
use crate::logging::{self, Format};
use crate::process::exit;
use crate::runtime::load_check;
use crate::shell::quoted;
use failure::{Failure, OutputError};

/// All is well.
const GOOD: u8 = 0;
/// A check refused something, or a request failed.
const FAILED: u8 = 1;
/// The configuration is unusable, or a required plugin is refused. sysexits.h calls it EX_CONFIG.
const UNUSABLE: u8 = 78;
/// Wrong usage.
const MISUSED: u8 = 2;
/// The reader of the output has gone: what a shell shows for tools that end by SIGPIPE.
const NO_READER: u8 = 128 + 13;
/// How long a command that a person waits for waits for its log to be read, while nothing of it is. A host that serves has
/// less time: see `exit`.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves packet handlers from plugins that are added and replaced as files.
///
/// `host --plugins plugins.toml` serves; the other commands judge, install and try out plugins.
///
/// Exit codes: 0 good; 1 something was refused or a request failed; 2 wrong usage; 70 a fault of the host's own; 78 the
/// configuration is unusable (or the address or a directory that it names) or a required plugin does not serve; 141 nobody
/// reads the output any more.
#[derive(Debug, Parser)]
#[command(
    name = "host",
    version,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
    /// How log lines are written; RUST_LOG says which ones.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: the same as `host --plugins FILE`.
    Serve(serve::Serve),
    /// Judge the plugin directory, or single files, without running anything of them; with --load also open them.
    Check(check::Check),
    /// Show the record that a plugin file carries.
    Inspect(inspect::Inspect),
    /// Show the host's own record and its policy: what plugins are compared with.
    Fingerprint(fingerprint::Fingerprint),
    /// Print the cargo commands that bring another crate's Cargo.lock to the versions that the host asks for, or run them.
    Align(align::Align),
    /// Judge a file, copy it to its real name in the plugin directory and move the link.
    Install(install::Install),
    #[command(name = load_check::COMMAND, hide = true)]
    Open(open::Open),
    Submit(submit::Submit),
    Bench(bench::Bench),
}

/// The configuration that most commands need.
#[derive(Debug, Args)]
struct Configuration {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    plugins: PathBuf,
}

/// Runs the command that the process was started with, and ends it; see `exit` for how.
pub fn main() -> ! {
    let cli = understood().unwrap_or_else(|said| exit::at_once(answer(&said)));
    let command = cli.command.unwrap_or(Command::Serve(cli.serve));
    // Before the first thread is started: they are held back from those alone that come after. Other commands end by them.
    let is_server = matches!(command, Command::Serve(_));
    let signals = is_server.then(Signals::hold_back).and_then(Result::ok);
    logging::start(cli.log_format, !is_server);
    let run = AssertUnwindSafe(|| command.run(signals));
    // Nothing is told to unwind any further: the usual end would follow.
    let outcome = catch_unwind(run).unwrap_or_else(|_| exit::after_panic("host"));
    let code = outcome.unwrap_or_else(|failure| failed(&failure));
    if !is_server {
        logging::flush(LOG_TIMEOUT);
    }
    exit::at_once(code)
}

/// What the command line asks for; or what clap has to say, which may be the help that was asked for.
fn understood() -> Result<Cli, clap::Error> {
    // First, and whatever else is missing: clap would name that. Its own rule for this would forbid --log-format there as well.
    if let Ok(matches) = Cli::command().ignore_errors(true).try_get_matches()
        && let Some(command) = matches.subcommand_name()
        && let Ok(Some(configuration)) = matches.try_get_one::<PathBuf>("plugins")
    {
        let takes_it = |taker: &clap::Command| taker.get_arguments().any(|argument| argument.get_id() == "plugins");
        let message = match Cli::command().find_subcommand(command).is_some_and(takes_it) {
            true => format!(
                "name --plugins after the subcommand: host {command} --plugins {}",
                quoted(configuration)
            ),
            false => format!("host {command} takes no --plugins"),
        };
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, message));
    }
    Cli::try_parse()
}

/// Prints what clap has to say. Gives the exit code: help that was asked for is no failure, even if it is not read to its end.
fn answer(said: &clap::Error) -> u8 {
    let printed = said.print().and_then(|()| io::stdout().flush());
    match printed.map_err(OutputError::from) {
        _ if said.use_stderr() => MISUSED,
        Ok(()) | Err(OutputError::NoReader) => GOOD,
        Err(error) => {
            let _ = writeln!(io::stderr(), "host: {error}"); // the log has not begun
            FAILED
        }
    }
}

/// Says why a command failed. Gives the exit code.
fn failed(failure: &Failure) -> u8 {
    for line in failure.lines() {
        logging::fatal(line);
    }
    failure.code()
}

impl Command {
    /// Gives the exit code.
    fn run(self, signals: Option<Signals>) -> Result<u8, Failure> {
        match self {
            Command::Serve(serve) => serve.run(signals.context("can't hold back signals")?),
            Command::Check(check) => check.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Fingerprint(fingerprint) => fingerprint.run(),
            Command::Align(align) => align.run(),
            Command::Install(install) => install.run(),
            Command::Open(open) => open.run(),
            Command::Submit(submit) => submit.run(),
            Command::Bench(bench) => bench.run(),
        }
    }
}
