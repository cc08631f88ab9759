//! Faults as text: what `NDPOOL_INJECT` holds.

use super::fault::{Fault, Faults, Moment, Rule};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// Faults for pools whose program says nothing about them.
const ENV_INJECT: &str = "NDPOOL_INJECT";

/// What the environment asks for.
///
/// # Errors
///
/// [`InvalidArgument`](ErrorKind::InvalidArgument) for text that is not faults.
pub(crate) fn from_environment() -> Result<Faults> {
    let Some(text) = std::env::var_os(ENV_INJECT) else { return Ok(Faults::new()) };
    let read = match text.to_str() {
        Some(text) => text.parse::<Faults>(),
        None => Err(invalid("it is not UTF-8")),
    };
    read.map_err(|error| {
        let (message, hint) = error.parts();
        let hint = hint.unwrap_or("see the documentation of `ndpool::inject`").to_string();
        Error::new(ErrorKind::InvalidArgument, format!("{ENV_INJECT}: {message}")).with_hint(hint)
    })
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

const FAULTS: &str = "the faults are kill, segfault, abort, exit=CODE, hang, hang-until-cancelled, panic, error and \
                      slow=DURATION";
const PLACES: &str = "a fault can have task=NAME, block=N, block=N..M, attempt=N, attempt=N..M, rate=SHARE, at=before \
                      and at=after";

impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut faults = Self::new();
        let mut has_seed = false;
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if let Some(seed) = part.strip_prefix("seed=") {
                if has_seed {
                    return Err(invalid("two seeds"));
                }
                faults.seed = number(part, seed)?;
                has_seed = true;
            } else {
                faults.rules.push(part.parse()?);
            }
        }
        faults.check(false)?;
        Ok(faults)
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let mut rule = Self::new(words.next().unwrap_or_default().parse()?);
        let mut seen = Vec::new();
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                return Err(invalid(format!("`{word}` in `{text}` says nothing of where")).with_hint(PLACES));
            };
            if seen.contains(&key) {
                return Err(invalid(format!("`{text}` has `{key}` twice")));
            }
            seen.push(key);
            match key {
                "task" if !value.is_empty() => rule.task = Some(value.to_string()),
                "block" => rule.blocks = Some(span(word, value, |n: usize| n.checked_add(1))?),
                "attempt" => rule.attempts = Some(span(word, value, |n: u32| n.checked_add(1))?),
                "rate" => rule.rate = number(word, value)?,
                "at" if value == "before" => rule.moment = Moment::Before,
                "at" if value == "after" => rule.moment = Moment::After,
                _ => {
                    return Err(
                        invalid(format!("`{word}` in `{text}` says nothing of where")).with_hint(PLACES)
                    );
                }
            }
        }
        Ok(rule)
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        match (name, value) {
            ("kill", None) => Ok(Self::Kill),
            ("segfault", None) => Ok(Self::Segfault),
            ("abort", None) => Ok(Self::Abort),
            ("exit", Some(code)) => number(text, code).map(Self::Exit),
            ("hang", None) => Ok(Self::Hang),
            ("hang-until-cancelled", None) => Ok(Self::HangUntilCancelled),
            ("panic", None) => Ok(Self::Panic),
            ("error", None) => Ok(Self::Error),
            ("slow", Some(value)) => duration(text, value).map(Self::Slow),
            _ => Err(invalid(format!("`{text}` is no fault")).with_hint(FAULTS)),
        }
    }
}

fn number<N: FromStr<Err: fmt::Display>>(word: &str, text: &str) -> Result<N> {
    text.parse().map_err(|error| invalid(format!("`{word}`: {error}")))
}

/// `N` or `N..M`.
fn span<N: FromStr<Err: fmt::Display> + Copy>(
    word: &str,
    text: &str,
    next: impl Fn(N) -> Option<N>,
) -> Result<Range<N>> {
    if let Some((start, end)) = text.split_once("..") {
        return Ok(number(word, start)?..number(word, end)?);
    }
    let start = number(word, text)?;
    let end = next(start).ok_or_else(|| invalid(format!("`{word}`: the number is too large")))?;
    Ok(start..end)
}

/// A whole number and its unit.
fn duration(word: &str, text: &str) -> Result<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let nanos_per_unit = match &text[digits.len()..] {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000_u64,
        _ => {
            return Err(invalid(format!(
                "`{word}`: a duration is a whole number and `ns`, `us`, `ms` or `s`"
            )));
        }
    };
    let nanos = number::<u64>(word, digits)?.checked_mul(nanos_per_unit);
    nanos.map(Duration::from_nanos).ok_or_else(|| invalid(format!("`{word}`: the duration is too long")))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("kill"),
            Self::Segfault => f.write_str("segfault"),
            Self::Abort => f.write_str("abort"),
            Self::Exit(code) => write!(f, "exit={code}"),
            Self::Hang => f.write_str("hang"),
            Self::HangUntilCancelled => f.write_str("hang-until-cancelled"),
            Self::Panic => f.write_str("panic"),
            Self::Error => f.write_str("error"),
            Self::Slow(duration) => {
                let nanos = duration.as_nanos();
                let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
                let (size, unit) =
                    units.into_iter().find(|(size, _)| nanos.is_multiple_of(*size)).unwrap_or((1, "ns"));
                write!(f, "slow={}{unit}", nanos / size)
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        if let Some(task) = &self.task {
            write!(f, " task={task}")?;
        }
        if let Some(Range { start, end }) = self.blocks {
            if start.checked_add(1) == Some(end) {
                write!(f, " block={start}")?;
            } else {
                write!(f, " block={start}..{end}")?;
            }
        }
        if let Some(Range { start, end }) = self.attempts {
            if start.checked_add(1) == Some(end) {
                write!(f, " attempt={start}")?;
            } else {
                write!(f, " attempt={start}..{end}")?;
            }
        }
        if self.rate != 1.0 {
            write!(f, " rate={}", self.rate)?;
        }
        if self.moment == Moment::After {
            f.write_str(" at=after")?;
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if self.seed != 0 {
            write!(f, "seed={}", self.seed)?;
            separator = "; ";
        }
        for rule in &self.rules {
            write!(f, "{separator}{rule}")?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_read_as_it_is_documented() {
        let text = " seed=9 ;kill rate=0.5 ;; exit=-3 block=2..5 attempt=0 at=after; slow=20ms task=a::b at=before; ";
        let expected = Faults::new()
            .seed(9)
            .add(Rule::new(Fault::Kill).rate(0.5))
            .add(Rule::new(Fault::Exit(-3)).blocks(2..5).attempt(0).at(Moment::After))
            .add(Rule::new(Fault::Slow(Duration::from_millis(20))).task("a::b"));
        assert_eq!(text.parse::<Faults>().unwrap(), expected);
        assert_eq!("".parse::<Faults>().unwrap(), Faults::new());
    }

    #[test]
    fn other_text_is_refused_with_what_is_wrong() {
        for (text, part) in [
            ("kil", "`kil` is no fault"),
            ("kill=3", "`kill=3` is no fault"),
            ("slow", "`slow` is no fault"),
            ("exit=x", "`exit=x`: invalid digit"),
            ("kill 3", "`3` in `kill 3`"),
            ("kill colour=red", "`colour=red`"),
            ("kill task=", "`task=`"),
            ("kill at=noon", "`at=noon`"),
            ("kill block=1 block=2", "`block` twice"),
            ("kill block=5..2", "without numbers"),
            ("kill block=18446744073709551615", "too large"),
            ("kill attempt=-1", "`attempt=-1`"),
            ("kill rate=2", "from 0 to 1"),
            ("kill rate=NaN", "from 0 to 1"),
            ("slow=5", "whole number"),
            ("slow=1.5s", "invalid digit"),
            ("slow=99999999999s", "too long"),
            ("seed=1; seed=2", "two seeds"),
            ("seed=x", "`seed=x`"),
        ] {
            let error = text.parse::<Faults>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    fn rules() -> impl Strategy<Value = Rule> {
        let fault = prop_oneof![
            Just(Fault::Kill),
            Just(Fault::Segfault),
            Just(Fault::Abort),
            any::<i32>().prop_map(Fault::Exit),
            Just(Fault::Hang),
            Just(Fault::HangUntilCancelled),
            Just(Fault::Panic),
            Just(Fault::Error),
            any::<u64>().prop_map(|nanos| Fault::Slow(Duration::from_nanos(nanos))),
        ];
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let blocks = proptest::option::of((any::<usize>(), 1..9_usize));
        let attempts = proptest::option::of((0..9_u32, 1..9_u32));
        (fault, proptest::option::of("[a-z:<>/]{1,9}"), blocks, attempts, 0.0..=1.0, moment).prop_map(
            |(fault, task, blocks, attempts, rate, moment)| Rule {
                fault,
                task,
                blocks: blocks.map(|(start, n)| start.min(usize::MAX - n)..start.min(usize::MAX - n) + n),
                attempts: attempts.map(|(start, n)| start..start + n),
                rate,
                moment,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seed: u64, rules in proptest::collection::vec(rules(), 0..4)) {
            let faults = Faults { seed, rules };
            prop_assert_eq!(faults.to_string().parse::<Faults>().unwrap(), faults);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ -~]{0,40}") {
            let _ = text.parse::<Faults>();
        }
    }
}
