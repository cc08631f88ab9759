//! What ends the program early, and its exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The command line says something that cannot be: exit code 2.
    Usage(clap::Error),
    /// The library failed: exit code 1.
    Pool(ndpool::Error),
    /// Runs of the same reduction gave different bits: exit code 1.
    Differs {
        /// Which result, by its name.
        what: &'static str,
        /// The first run that differed from the first of all, counted from 1.
        run: usize,
    },
    /// A soak could not be run, or found something: exit code 1.
    Stress(String),
    /// Nobody reads stdout any more, which is nobody's fault, or it cannot be written.
    Stdout(io::Error),
}

impl Failure {
    /// Tells the user, and says how the process is to end.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(error) => error.exit(),
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            failure => {
                // If stderr is gone too, there is nobody to tell.
                let _ = writeln!(io::stderr(), "error: {failure}");
                ExitCode::FAILURE
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Pool(error) => error.fmt(f),
            Self::Differs { what, run } => write!(
                f,
                "run {run} gave other bits for `{what}` than run 1\n\
                 (hint: results never depend on timing; check the machine's memory, and report a bug)"
            ),
            Self::Stress(what) => f.write_str(what),
            Self::Stdout(error) => write!(f, "cannot write to stdout: {error}"),
        }
    }
}

impl From<ndpool::Error> for Failure {
    fn from(error: ndpool::Error) -> Self {
        Self::Pool(error)
    }
}
