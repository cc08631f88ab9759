//! What the processes of the soak count and find, and the summary.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Findings that are kept as text; further ones are only counted.
const KEPT_FINDINGS: usize = 20;
const LONGEST_TEXT: usize = 1500;

/// One line from an actor to the director.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How often what has happened since the last line.
    pub counts: BTreeMap<String, u64>,
    /// What must not be.
    pub wrong: Vec<String>,
    pub leaks: Vec<String>,
}

/// Where an actor notes what happens.
#[derive(Debug, Default)]
pub struct Desk(Mutex<Tally>);

impl Desk {
    fn with(&self, note: impl FnOnce(&mut Tally)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn count(&self, what: &str) {
        self.count_many(what, 1);
    }

    pub fn count_many(&self, what: &str, n: u64) {
        self.with(|tally| *tally.counts.entry(what.to_owned()).or_default() += n);
    }

    /// Something that nobody may ever see.
    pub fn wrong(&self, text: &str) {
        self.with(|tally| tally.wrong.push(text.chars().take(LONGEST_TEXT).collect()));
        self.flush();
    }

    pub fn leak(&self, text: &str) {
        self.with(|tally| tally.leaks.push(text.chars().take(LONGEST_TEXT).collect()));
    }

    /// Tells the director, who takes silence for a hang. Without one there is no soak any more: the process ends.
    pub fn flush(&self) {
        let tally = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut line = serde_json::to_vec(&tally).expect("plain data");
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }
}

/// What was found of a kind.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    pub n: u64,
    pub texts: Vec<String>,
}

impl Findings {
    pub fn add(&mut self, text: String) {
        self.n += 1;
        eprintln!("{text}");
        if self.texts.len() < KEPT_FINDINGS {
            self.texts.push(text);
        }
    }
}

/// The summary.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub seed: u64,
    pub seconds: f64,
    pub interrupted: bool,
    /// Processes started.
    pub started: u64,
    /// By signal and target.
    pub kills: BTreeMap<String, u64>,
    pub stops: u64,
    /// Times that all ended in peace, and nothing was left.
    pub quiet_points: u64,
    /// Dead servers that the director reaped.
    pub reaped: u64,
    pub counts: BTreeMap<String, u64>,
    pub wrong: Findings,
    pub hangs: Findings,
    pub leaks: Findings,
}

impl Figures {
    pub fn take(&mut self, tally: Tally, who: &str) {
        for (what, n) in tally.counts {
            *self.counts.entry(what).or_default() += n;
        }
        tally.wrong.into_iter().for_each(|text| self.wrong.add(format!("{who}: {text}")));
        tally.leaks.into_iter().for_each(|text| self.leaks.add(format!("{who}: {text}")));
    }

    pub fn n_kills(&self) -> u64 {
        self.kills.values().sum()
    }

    /// Whether nothing was found, and whatever was to be tried was.
    pub fn verdict(&self) -> Result<(), Failure> {
        let Self { seed, wrong, hangs, leaks, .. } = self;
        if wrong.n + hangs.n + leaks.n == 0 {
            return Ok(());
        }
        Err(Failure::Stress(format!(
            "{} mixtures and other wrongs, {} hangs, {} leaks\n(hint: this is a bug of ndpool or of the machine; please report it \
             with the summary and `--shared --seed {seed}`)",
            wrong.n, hangs.n, leaks.n
        )))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            seconds,
            started,
            kills,
            stops,
            quiet_points,
            reaped,
            counts,
            wrong,
            hangs,
            leaks,
            ..
        } = self;
        writeln!(
            f,
            "shared structures, seed {seed}, {seconds:.1} s{}",
            if self.interrupted { ", interrupted" } else { "" }
        )?;
        writeln!(
            f,
            "processes      {started} started, {} killed, {stops} stopped for a while",
            self.n_kills()
        )?;
        for (what, n) in kills {
            writeln!(f, "               {n:>8} {what}")?;
        }
        writeln!(f, "quiet points   {quiet_points}; {reaped} dead servers reaped")?;
        writeln!(f, "done")?;
        for (what, n) in counts {
            writeln!(f, "               {n:>8} {what}")?;
        }
        writeln!(f, "wrong {}, hangs {}, leaks {}", wrong.n, hangs.n, leaks.n)?;
        for text in [wrong, hangs, leaks].iter().flat_map(|findings| &findings.texts) {
            writeln!(f, "  {text}")?;
        }
        Ok(())
    }
}
