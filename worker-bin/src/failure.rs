//! What ends the program early, and its exit code.

use std::fmt;
use std::io::{self, Write};
#[cfg(feature = "prometheus")]
use std::net::SocketAddr;
use std::path::PathBuf;
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
    /// A file could not be read: exit code 1.
    File(PathBuf, io::Error),
    /// The library failed on a file that it knows by another name: exit code 1.
    Named {
        /// The user's name for it.
        path: PathBuf,
        /// The one in the error's text.
        known_as: PathBuf,
        error: ndpool::Error,
    },
    /// Somebody is writing a file that was to be read: exit code 1.
    Busy(PathBuf),
    /// Files cannot be watched: exit code 1.
    Watch(io::Error),
    /// Signals cannot be handled: exit code 1.
    Signals(ctrlc::Error),
    /// Metrics cannot be served there: exit code 1.
    #[cfg(feature = "prometheus")]
    Exporter(SocketAddr, String),
    /// What is published is not of a kind that the command can take; what it is, and what to do: exit code 1.
    Unfit(String, String),
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
            Self::File(path, error) => {
                write!(
                    f,
                    "cannot read `{}`: {error}\n(hint: check the path and its permissions)",
                    path.display()
                )
            }
            Self::Named { path, known_as, error } => {
                let [path, known_as] = [path, known_as].map(|path| path.display().to_string());
                f.write_str(&error.to_string().replace(&known_as, &path))
            }
            Self::Busy(path) => write!(
                f,
                "`{}` is open for writing in another process\n\
                 (hint: try again when it is complete, or let --watch wait for it)",
                path.display()
            ),
            Self::Watch(error) => write!(
                f,
                "cannot watch files: {error}\n\
                 (hint: there may be too many watches, fs.inotify.max_user_instances and max_user_watches)"
            ),
            Self::Signals(error) => write!(f, "cannot handle signals: {error}"),
            #[cfg(feature = "prometheus")]
            Self::Exporter(address, error) => write!(
                f,
                "cannot serve metrics at {address}: {error}\n\
                 (hint: another process may have the port; choose one with --prometheus=ADDRESS)"
            ),
            Self::Unfit(what, hint) => write!(f, "{what}\n(hint: {hint})"),
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
