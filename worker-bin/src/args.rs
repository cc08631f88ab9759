//! The command line.

#[cfg(feature = "prometheus")]
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use ndpool::ops::NormOrd;
use ndpool::ops::dynamic::{Op, Options};

/// Reductions of .npy files by worker processes, arrays that are published by name, and a look at what there is on this machine.
///
/// Also the stock worker: a program that names `ndpool` as its worker program gets the built-in reductions from it.
#[derive(Debug, Parser)]
#[command(name = "ndpool", version, propagate_version = true, arg_required_else_help = true, after_help = CLI_EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const CLI_EXAMPLES: &str = "\
Examples:
  ndpool describe x.npy                  count, sum, mean, std, min, max of an array
  ndpool reduce x.npy --op mean --axis 0 the mean along the first axis
  ndpool serve --name prices close.npy   publish an array by name, for any process of this user
  ndpool watch prices                    mean, std, min and max of what is published, again and again
  ndpool get prices/close -o now.npy     save what is published, one whole version
  ndpool put prices/close close.npy      publish another version
  ndpool ls                              pools and published structures, alive or dead
  ndpool reap                            remove what dead processes left behind
  ndpool stress --seconds 60             kill pools for a minute, and check every result

Exit codes: 0 done, 1 failed, 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count, NaNs, sum, mean, standard deviation, smallest and largest element, in one pass
    Describe(DescribeArgs),
    /// One reduction of an array, whole or along an axis, with NumPy's names and answers
    Reduce(ReduceArgs),
    /// Publish arrays by name: a data server
    Serve(ServeArgs),
    /// Follow what a data server publishes: mean, std, min, max, version and rate, again and again
    Watch(WatchArgs),
    /// Save what is published, one whole version
    Get(GetArgs),
    /// Publish a file as the next version of an item, or as a new item
    Put(PutArgs),
    /// List pools and their segments, and published structures, with owner, age and size
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Remove the segments of dead pools, and published structures that nobody uses; what lives is never touched
    Reap(ReapArgs),
    /// Kill pools and their workers for a while, on this machine, and check every result to the bit
    Stress(StressArgs),
    #[command(hide = true)]
    StressSupervisor(SupervisorArgs),
    #[command(hide = true)]
    StressShared(SharedActorArgs),
    /// Print a script that completes this program's arguments in a shell
    Completions(CompletionsArgs),
    /// Print a manual page, in roff
    Man(ManArgs),
}

/// What both kinds of reduction take.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Number of worker processes [default: one for each usable core]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,

    /// Run N times on the loaded array and tell the median time; fail if two runs differ in any bit
    #[arg(long, value_name = "N", default_value = "1")]
    pub repeat: NonZeroUsize,

    /// Print one JSON object; NaN and infinities are the strings "nan", "inf", "-inf", complex numbers {"re":…,"im":…}
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub struct DescribeArgs {
    /// The array: numbers, bools or complex numbers in C order
    #[arg(value_name = "FILE.npy", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    #[command(flatten)]
    pub run: RunArgs,
}

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  ndpool describe x.npy
  ndpool describe x.npy --workers 4 --repeat 10
  ndpool describe x.npy --json | jq .mean

JSON: file, shape, dtype, count, nan_count, sum, mean, std, min, argmin, max, argmax, workers, seconds, \
bytes_per_second. Numbers read back to the same bits; argmin and argmax count elements in C order.";

#[derive(Debug, Args)]
#[command(after_help = REDUCE_EXAMPLES)]
pub struct ReduceArgs {
    /// The array: numbers, bools or complex numbers in C order
    #[arg(value_name = "FILE.npy", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// The reduction, by NumPy's name; norm1, norm2 and norminf are norm with that --ord
    #[arg(long, value_name = "OP", value_parser = operation())]
    pub op: Operation,

    /// Reduce along this axis; -1 is the last [default: the whole array]
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub axis: Option<isize>,

    /// Save the result as a .npy file; one of several parts goes to OUT.PART.npy
    #[arg(short, long, value_name = "OUT.npy", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// The second array, of dot and vdot
    #[arg(long, value_name = "OTHER.npy", value_hint = ValueHint::FilePath)]
    pub with: Option<PathBuf>,

    /// Workers that one block may kill before it is given up
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=31))]
    pub attempts: u32,

    /// Delta degrees of freedom, of var, std, nanvar and nanstd [default: 0]
    #[arg(long, value_name = "D", allow_negative_numbers = true)]
    pub ddof: Option<f64>,

    /// Which norm [default: 2]
    #[arg(long, value_enum)]
    pub ord: Option<Ord>,

    /// Number of bins, of histogram [default: 10]
    #[arg(long, value_name = "N")]
    pub bins: Option<NonZeroUsize>,

    /// Ends of the first and last bin, of histogram [default: smallest and largest element]
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], allow_negative_numbers = true)]
    pub range: Option<Vec<f64>>,

    /// Least number of counts, of bincount [default: 0]
    #[arg(long, value_name = "N")]
    pub minlength: Option<usize>,

    /// Largest number of distinct values, of unique_counts [default: 1000000]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    #[command(flatten)]
    pub run: RunArgs,
}

const REDUCE_EXAMPLES: &str = "\
Examples:
  ndpool reduce x.npy --op sum
  ndpool reduce x.npy --op std --ddof 1 --axis -1 -o std.npy
  ndpool reduce x.npy --op histogram --bins 20 --range -1 1
  ndpool reduce x.npy --op norm --ord inf
  ndpool reduce x.npy --op dot --with y.npy
  ndpool reduce x.npy --op sum --workers 4 --repeat 10 --json

JSON: op, axis, shape, value, seconds, bytes_per_second, workers, workers_lost, blocks_redone, deaths. The value \
is a number or nested lists, shape its shape; of describe, histogram and unique_counts both are objects \
with a member for each part.";

#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
pub struct LsArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const LS_EXAMPLES: &str = "\
Examples:
  ndpool ls
  ndpool ls --json | jq '.pools[] | select(.alive) | .pid'
  ndpool ls --json | jq -r '.published[].name'

JSON: pools, a list of run, directory, alive, pid, program, started (seconds since 1970), age_seconds, \
bytes and segments, each of which has name, bytes and age_seconds; and published, a list of name, kind, path, bytes, version, \
attached, kept, age_seconds, pid, user (a number) and group_read. What is not known is null.";

#[derive(Debug, Args)]
#[command(after_help = REAP_EXAMPLES)]
pub struct ReapArgs {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Also remove published structures that are kept though nobody uses them
    #[arg(long)]
    pub kept: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const REAP_EXAMPLES: &str = "\
Examples:
  ndpool reap --dry-run
  ndpool reap
  ndpool reap --kept
  ndpool reap --json | jq '[.removed[].bytes] | add'

JSON: dry_run, and removed and removed_published, lists like pools and published of `ndpool ls --json`.";

/// What is published, as `SERVER` or `SERVER/ITEM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub server: String,
    pub item: Option<String>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (server, item) = match text.split_once('/') {
            Some((server, item)) => (server, Some(item)),
            None => (text, None),
        };
        if server.is_empty() || item.is_some_and(|item| item.is_empty() || item.contains('/')) {
            return Err("expected SERVER or SERVER/ITEM".into());
        }
        Ok(Self { server: server.into(), item: item.map(String::from) })
    }
}

#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Name of the server: letters, digits, `_` and `-`, at most 64
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// The arrays; an item is named as its file is without .npy, or by ITEM=
    #[arg(value_name = "[ITEM=]FILE.npy", value_hint = ValueHint::FilePath)]
    pub files: Vec<String>,

    /// Publish a file again whenever it has changed
    #[arg(long)]
    pub watch: bool,

    /// Bytes that all items together may have
    #[arg(long, value_name = "N")]
    pub max_bytes: Option<u64>,

    /// Number of items that there may be
    #[arg(long, value_name = "N")]
    pub max_items: Option<u64>,

    /// Let members of this user's group read
    #[arg(long)]
    pub group_read: bool,

    /// What becomes of the items if this server is killed
    #[arg(long, value_enum)]
    pub after_kill: Option<AfterKill>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  ndpool serve --name prices close.npy volume.npy
  ndpool serve --name prices --watch close=out/latest.npy
  ndpool serve --name scratch --max-bytes 1000000000 --after-kill remove

Prints a line for each version that it publishes. Ctrl-C ends it, and takes what is published away. With --watch a file may be \
written in place or replaced; a version is published when nobody is writing the file.";

/// What becomes of the items of a server that was killed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AfterKill {
    /// They stay readable, and the next server of the name has them
    Recover,
    /// The next server of the name removes them, or `ndpool reap`
    Remove,
}

impl From<AfterKill> for ndpool::server::AfterKill {
    fn from(after_kill: AfterKill) -> Self {
        match after_kill {
            AfterKill::Recover => Self::Recover,
            AfterKill::Remove => Self::Remove,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub struct WatchArgs {
    /// What to follow
    #[arg(value_name = "SERVER[/ITEM]")]
    pub target: Target,

    /// Time between two looks, such as 500ms, 1s or 2min
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub every: Duration,

    /// Stop after so many looks [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,

    /// Print one JSON object for each array and look
    #[arg(long)]
    pub json: bool,

    /// Serve the figures as metrics to Prometheus, under http://ADDRESS/metrics [default address: 127.0.0.1:9464]
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:9464")]
    pub prometheus: Option<SocketAddr>,
}

const WATCH_EXAMPLES: &str = "\
Examples:
  ndpool watch prices
  ndpool watch prices/close --every 100ms
  ndpool watch prices --prometheus=127.0.0.1:9999
  ndpool watch prices --count 1 --json | jq -r '[.name, .mean] | @tsv'

A column of a frame is ITEM.COLUMN. Rates are versions per second. Ctrl-C ends it. The server may end and come again meanwhile.

JSON: name, column, version, rate, dtype, shape, count, nan_count, mean, std, min, max, age_seconds, time (seconds since 1970). \
What is not known is null.";

#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub struct GetArgs {
    /// What to save; the item may be left out if there is one only
    #[arg(value_name = "SERVER[/ITEM]")]
    pub target: Target,

    /// Where to save it; the file is replaced as a whole, or not at all
    #[arg(short, long, value_name = "OUT.npy", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// The column to save, of a frame
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const GET_EXAMPLES: &str = "\
Examples:
  ndpool get prices/close -o close.npy
  ndpool get prices -o close.npy
  ndpool get ticks/trades --column price -o price.npy

JSON: name, column, version, dtype, shape, output.";

#[derive(Debug, Args)]
#[command(after_help = PUT_EXAMPLES)]
pub struct PutArgs {
    /// The item; without one, it is named as the file is without .npy
    #[arg(value_name = "SERVER[/ITEM]")]
    pub target: Target,

    /// The array
    #[arg(value_name = "FILE.npy", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const PUT_EXAMPLES: &str = "\
Examples:
  ndpool put prices/close close.npy
  ndpool put prices close.npy

An item of the same type and shape gets its next version in place; of another one, it is swapped for a new item at once.

JSON: name, version, how (created, updated or swapped), dtype, shape.";

/// A length of time, at least a millisecond.
fn interval(text: &str) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("{error}: expected such as 500ms or 1s"))?;
    if time < Duration::from_millis(1) { Err("expected at least 1ms".into()) } else { Ok(time) }
}

#[derive(Debug, Args)]
#[command(after_help = STRESS_EXAMPLES)]
pub struct StressArgs {
    /// What chance decides follows from it; how processes come to interleave does not [default: another one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How long; a few seconds more are spent on the end
    #[arg(long, value_name = "N", default_value = "60")]
    pub seconds: u64,

    /// Programs that build pools, of one to four workers each
    #[arg(long, value_name = "N", default_value = "3")]
    pub supervisors: NonZeroUsize,

    /// Kill a data server and its clients instead, and check all that they read
    #[arg(long, conflicts_with = "supervisors")]
    pub shared: bool,

    /// Leave /dev/shm as it is, instead of filling one that nobody else sees
    #[arg(long)]
    pub no_fill: bool,

    /// Tell every few seconds how it goes, even if stderr is no terminal
    #[arg(long)]
    pub verbose: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Expect something wrong once: the soak must notice
    #[arg(long, hide = true)]
    pub fault: bool,
}

const STRESS_EXAMPLES: &str = "\
Examples:
  ndpool stress
  ndpool stress --seed 7 --seconds 600
  ndpool stress --seconds 3600 --supervisors 6 --verbose
  ndpool stress --no-fill
  ndpool stress --shared --seconds 300
  ndpool stress --json | jq '.kills_total, .wrong.n, .hangs.n, .leaks.n'

Programs of its own run jobs of all kinds; they and their workers are killed, crashed and stopped at random moments, and where it \
is permitted a /dev/shm of its own runs full. Nobody else's processes or files are touched. Ctrl-C ends it early, with the \
summary. It fails if there was a wrong result, a hang or a leak.

JSON: the figures of the summary. kills is by signal and target, jobs by kind; wrong, hangs and leaks have n and the first \
texts.";

/// A supervisor of `stress`.
#[derive(Debug, Args)]
pub struct SupervisorArgs {
    #[arg(long)]
    pub seed: u64,
    #[arg(long)]
    pub index: u64,
    #[arg(long)]
    pub start: u64,
    #[arg(long)]
    pub director: u32,
    #[arg(long)]
    pub directory: PathBuf,
    #[arg(long)]
    pub pressure: bool,
}

/// A process of `stress --shared`.
#[derive(Debug, Args)]
pub struct SharedActorArgs {
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub seed: u64,
    /// 0 is the server
    #[arg(long)]
    pub index: u64,
    #[arg(long)]
    pub start: u64,
    #[arg(long)]
    pub fault: bool,
}

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  ndpool completions bash > ~/.local/share/bash-completion/completions/ndpool
  ndpool completions zsh > ~/.zfunc/_ndpool
  ndpool completions fish > ~/.config/fish/completions/ndpool.fish";

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The page of this subcommand [default: that of ndpool itself]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  ndpool man | man -l -
  ndpool man reduce > ndpool-reduce.1";

/// A reduction as the command line names it.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub op: Op,
    /// The norm that the name says.
    ord: Option<NormOrd>,
}

/// Names of norms that need no `--ord`.
const NORMS: [(&str, NormOrd); 3] =
    [("norm1", NormOrd::One), ("norm2", NormOrd::Two), ("norminf", NormOrd::Inf)];

fn operation() -> impl TypedValueParser<Value = Operation> {
    let names = Op::ALL.iter().map(|op| op.name()).chain(NORMS.map(|(name, _)| name));
    PossibleValuesParser::new(names).try_map(|name| match NORMS.iter().find(|norm| norm.0 == name) {
        Some(&(_, ord)) => Ok(Operation { op: Op::Norm, ord: Some(ord) }),
        None => name.parse().map(|op| Operation { op, ord: None }),
    })
}

/// Which norm.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Ord {
    /// Sum of magnitudes
    #[value(name = "1")]
    One,
    /// Root of the sum of squares
    #[value(name = "2")]
    Two,
    /// Largest magnitude
    #[value(name = "inf")]
    Inf,
}

impl From<Ord> for NormOrd {
    fn from(ord: Ord) -> Self {
        match ord {
            Ord::One => Self::One,
            Ord::Two => Self::Two,
            Ord::Inf => Self::Inf,
        }
    }
}

impl ReduceArgs {
    /// The options of the operation.
    ///
    /// # Errors
    ///
    /// If an option does not go with the operation, so that a mistake is not passed over in silence.
    pub fn options(&self) -> Result<Options, clap::Error> {
        let op = self.op.op;
        let takes = |flag: &str| match flag {
            "--axis" => op.has_axis(),
            "--with" => op.takes_two(),
            "--ddof" => matches!(op, Op::Var | Op::Std | Op::Nanvar | Op::Nanstd),
            "--ord" => op == Op::Norm && self.op.ord.is_none(),
            "--bins" | "--range" => op == Op::Histogram,
            "--minlength" => op == Op::Bincount,
            _ => op == Op::UniqueCounts,
        };
        let given = [
            ("--axis", self.axis.is_some()),
            ("--with", self.with.is_some()),
            ("--ddof", self.ddof.is_some()),
            ("--ord", self.ord.is_some()),
            ("--bins", self.bins.is_some()),
            ("--range", self.range.is_some()),
            ("--minlength", self.minlength.is_some()),
            ("--limit", self.limit.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(flag, is_given)| *is_given && !takes(flag)) {
            let name = NORMS.iter().find(|norm| Some(norm.1) == self.op.ord).map_or(op.name(), |norm| norm.0);
            return Err(usage("reduce", ErrorKind::ArgumentConflict, format!("{name} does not take {flag}")));
        }
        if op.takes_two() && self.with.is_none() {
            let message = format!("{op} needs a second array: --with OTHER.npy");
            return Err(usage("reduce", ErrorKind::MissingRequiredArgument, message));
        }
        let default = Options::default();
        Ok(Options {
            axis: self.axis,
            ddof: self.ddof.unwrap_or(default.ddof),
            ord: self.op.ord.or(self.ord.map(NormOrd::from)).unwrap_or(default.ord),
            bins: self.bins.map_or(default.bins, NonZeroUsize::get),
            range: self.range.as_ref().map(|ends| (ends[0], ends[1])),
            min_length: self.minlength.unwrap_or(default.min_length),
            limit: self.limit.unwrap_or(default.limit),
        })
    }
}

/// An error like those of the parser, with the usage of a subcommand.
pub fn usage(subcommand: &str, kind: ErrorKind, message: String) -> clap::Error {
    let mut command = Cli::command();
    command.build();
    match command.find_subcommand_mut(subcommand) {
        Some(subcommand) => subcommand.error(kind, message),
        None => command.error(kind, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_servers_or_items() {
        let target = |text: &str| text.parse::<Target>().map(|target| (target.server, target.item));
        assert_eq!(target("prices"), Ok(("prices".into(), None)));
        assert_eq!(target("prices/close"), Ok(("prices".into(), Some("close".into()))));
        for wrong in ["", "/close", "prices/", "prices/close/last"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn intervals_are_times() {
        assert_eq!(interval("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["0s", "1us", "soon", "5"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
