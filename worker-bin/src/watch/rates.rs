//! Versions per second.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use ndpool::server::analytics::Pass;

use super::report::Line;

/// What was seen in the look before.
#[derive(Debug, Default)]
pub struct Rates {
    before: HashMap<String, u64>,
    at: Option<Instant>,
}

impl Rates {
    /// The lines of a look. There is no rate for what was not there in the look before, or has begun to count anew.
    pub fn lines(&mut self, pass: &Pass, at: Instant, time: SystemTime) -> Vec<Line> {
        let seconds = self.at.map(|before| at.duration_since(before).as_secs_f64());
        let lines: Vec<Line> = pass
            .seen
            .iter()
            .map(|seen| {
                let mut line = Line::new(&pass.server, seen, time);
                line.rate = rate(self.before.get(&line.key()).copied(), line.version, seconds);
                line
            })
            .collect();
        self.before = lines.iter().map(|line| (line.key(), line.version)).collect();
        self.at = Some(at);
        lines
    }
}

fn rate(before: Option<u64>, now: u64, seconds: Option<f64>) -> Option<f64> {
    let n = now.checked_sub(before?)?;
    seconds.filter(|seconds| *seconds > 0.0).map(|seconds| n as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_versions_per_second() {
        assert_eq!(rate(Some(10), 15, Some(2.0)), Some(2.5));
        assert_eq!(rate(Some(10), 10, Some(2.0)), Some(0.0));
        assert_eq!(rate(None, 10, Some(2.0)), None);
        assert_eq!(rate(Some(10), 10, None), None);
        // Another array has the name.
        assert_eq!(rate(Some(10), 1, Some(2.0)), None);
    }
}
