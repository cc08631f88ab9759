//! Named places at which a test may have a process killed.
//!
//! `kill_point!("segment.create.reserved")` stands before and after each effect of each protocol. Without the feature
//! `kill-points` it is nothing. With it the point registers itself under its name, so that a program can list all that
//! there are, and where it is passed it looks whether it is [`armed`]. In unit tests it does what the test has planned (`hook`).
//!
//! Names read *protocol, actor or step, moment*; each is used once. No point stands in `job/{word,ledger,doorbell}.rs`, which the
//! model checker compiles alone, and none between two looks of a loop that spins.

#[cfg(feature = "kill-points")]
pub(crate) mod armed;

#[cfg(test)]
pub(crate) mod hook;

/// A place at which a test may have a process killed.
#[cfg(feature = "kill-points")]
macro_rules! kill_point {
    ($name:literal) => {{
        ::inventory::submit! { $crate::sys::kill_point::armed::KillPoint { name: $name, file: ::std::file!(), line: ::std::line!() } }
        $crate::sys::kill_point::armed::reach($name);
    }};
}

#[cfg(all(test, not(feature = "kill-points")))]
macro_rules! kill_point {
    ($name:literal) => {
        $crate::sys::kill_point::hook::reach($name)
    };
}

#[cfg(not(any(test, feature = "kill-points")))]
macro_rules! kill_point {
    ($name:literal) => {
        ()
    };
}

pub(crate) use kill_point;
