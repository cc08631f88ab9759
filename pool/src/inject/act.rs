//! Injecting: whether a rule hits a block, and what it does to it.

use super::fault::{Fault, Faults, Moment, Rule};
use crate::sys::signal::die_of;
use crate::task::TaskError;
use nix::sys::signal::Signal;
use std::time::Duration;

/// How often a task that waits to be cancelled looks.
const LOOK: Duration = Duration::from_millis(1);

/// The block that is run.
pub(crate) struct Site<'s> {
    pub(crate) task: &'s str,
    /// The call's values, serialised.
    pub(crate) arguments: &'s [u8],
    /// 0 in a batch of calls.
    pub(crate) block: usize,
    pub(crate) attempt: u32,
    pub(crate) is_cancelled: &'s dyn Fn() -> bool,
}

impl Faults {
    /// Runs a task with what is injected before and after it.
    pub(crate) fn around(
        &self,
        site: &Site<'_>,
        run: impl FnOnce() -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        self.strike(site, Moment::Before)?;
        run()?;
        self.strike(site, Moment::After)
    }

    fn strike(&self, site: &Site<'_>, moment: Moment) -> Result<(), TaskError> {
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.moment == moment && rule.applies_to(site) && self.chance(index, rule, site) {
                rule.fault.happen(site)?;
            }
        }
        Ok(())
    }

    /// Whether a rule's rate hits: a function of the seed, the rule's place and the block.
    fn chance(&self, index: usize, rule: &Rule, site: &Site<'_>) -> bool {
        if rule.rate >= 1.0 {
            return true;
        }
        let numbers = [self.seed, index as u64, site.block as u64, site.attempt.into()];
        let bytes = site.task.bytes().chain([0]).chain(site.arguments.iter().copied());
        let mut hash = bytes.fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        hash = numbers.iter().fold(hash, |hash, number| mix(hash ^ number));
        // The upper 53 bits, all that a double holds, as a number from 0 to 1, without 1.
        ((hash >> 11) as f64) / ((1_u64 << 53) as f64) < rule.rate
    }
}

/// A bijection of 64 bits in which each bit of the argument changes about half of the result's.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Rule {
    fn applies_to(&self, site: &Site<'_>) -> bool {
        let is_named = |name: &String| {
            // The last part of the path, which is the whole of a name that has none.
            site.task == name || site.task.rsplit("::").next() == Some(name)
        };
        self.task.as_ref().is_none_or(is_named)
            && self.blocks.as_ref().is_none_or(|blocks| blocks.contains(&site.block))
            && self.attempts.as_ref().is_none_or(|attempts| attempts.contains(&site.attempt))
    }
}

impl Fault {
    fn happen(self, site: &Site<'_>) -> Result<(), TaskError> {
        let Site { task, block, attempt, .. } = site;
        let what = format!("injected {self} in {task}, block {block}, attempt {attempt}");
        if self.needs_process() {
            // Among the last lines of the worker, so that a report tells it from the real thing.
            eprintln!("ndpool: {what}");
        }
        match self {
            Self::Kill => die_of(Signal::SIGKILL as i32),
            Self::Segfault => die_of(Signal::SIGSEGV as i32),
            Self::Abort => std::process::abort(),
            Self::Exit(code) => std::process::exit(code),
            Self::Hang => loop {
                std::thread::park();
            },
            Self::HangUntilCancelled => {
                while !(site.is_cancelled)() {
                    std::thread::sleep(LOOK);
                }
            }
            Self::Panic => panic!("{what}"),
            Self::Error => return Err(TaskError::new(what)),
            Self::Slow(duration) => std::thread::sleep(duration),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site<'s>(task: &'s str, arguments: &'s [u8], block: usize, attempt: u32) -> Site<'s> {
        Site { task, arguments, block, attempt, is_cancelled: &|| false }
    }

    fn hits(faults: &Faults, site: &Site<'_>) -> bool {
        let ran = std::cell::Cell::new(false);
        let result = faults.around(site, || {
            ran.set(true);
            Ok(())
        });
        assert_eq!(ran.get(), result.is_ok());
        result.is_err()
    }

    #[test]
    fn a_rule_hits_what_it_names() {
        let rule = Faults::new().add(Rule::new(Fault::Error).task("scale").blocks(2..4).attempt(1));
        for (task, block, attempt, expected) in [
            ("my::scale", 2, 1, true),
            ("scale", 3, 1, true),
            ("my::rescale", 2, 1, false),
            ("my::scale", 4, 1, false),
            ("my::scale", 2, 0, false),
        ] {
            assert_eq!(hits(&rule, &site(task, &[], block, attempt)), expected, "{task} {block} {attempt}");
        }
        let whole = Faults::new().add(Rule::new(Fault::Error).task("my::scale"));
        assert!(hits(&whole, &site("my::scale", &[], 0, 0)) && !hits(&whole, &site("scale", &[], 0, 0)));
        assert!(!hits(&Faults::new(), &site("scale", &[], 0, 0)));
    }

    #[test]
    fn a_rate_hits_its_share_and_the_same_ones_again() {
        let with_seed = |seed| Faults::new().seed(seed).add(Rule::new(Fault::Error).rate(0.25));
        let hit = |faults: &Faults, argument: u8| -> Vec<usize> {
            (0..4_000).filter(|&block| hits(faults, &site("t", &[argument], block, 0))).collect()
        };
        let first = hit(&with_seed(1), 0);
        // Six standard deviations to either side.
        assert!((836..1_164).contains(&first.len()), "{} of 4000", first.len());
        assert_eq!(first, hit(&with_seed(1), 0));
        assert_ne!(first, hit(&with_seed(2), 0));
        assert_ne!(first, hit(&with_seed(1), 1), "other arguments, other faults");
        let none = Faults::new().add(Rule::new(Fault::Error).rate(0.0));
        assert_eq!(hit(&none, 0), [0; 0]);
    }

    #[test]
    fn a_block_that_was_hit_may_pass_at_its_next_attempt() {
        let faults = Faults::new().add(Rule::new(Fault::Error).rate(0.5));
        let n_passed = (0..100).filter(|&block| (0..30).any(|n| !hits(&faults, &site("t", &[], block, n))));
        assert_eq!(n_passed.count(), 100);
    }
}
