use crate::scenario::{self, Scenario};
use ndpool::kill_points::{KillPoint, list};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// No run comes near it; a hang is all that it catches.
const PATIENCE: Duration = Duration::from_secs(30);

const WHO: [&str; 3] = ["worker", "supervisor", "both"];
/// In processes that are no pool's: whoever passes the point.
const SELF: [&str; 1] = ["self"];

/// Points that a worker passes before it watches its supervisor, or may pass when it was asked to end, or is to be replaced, as its
/// supervisor shuts down: if that is killed there, the rest may be left to the next pool. At all others workers clean up.
const UNWATCHED: [&str; 10] = [
    "worker.begin",
    "worker.environment_taken",
    "block.over",
    "make_way.begin",
    "make_way.free",
    "job.left",
    "job.rung",
    "worker.parking",
    "worker.awake",
    "worker.over",
];

/// What came of one run.
struct Outcome {
    word: String,
    /// What is wrong.
    fault: Option<String>,
}

/// One row of the table: a point passed in a role, in the scenarios that do so.
struct Row {
    point: KillPoint,
    role: String,
    scenarios: Vec<Passed>,
}

/// How a scenario passes a point.
struct Passed {
    scenario: &'static Scenario,
    n_times: usize,
    /// Whether in no other role.
    only_so: bool,
}

/// One run: a row, one of its scenarios, which hit, and who dies.
type Run = (usize, usize, usize, &'static str);

impl Row {
    /// Whose death is tried.
    fn who(&self) -> &'static [&'static str] {
        if self.scenarios.iter().all(|passed| passed.scenario.is_shared) { &SELF } else { &WHO }
    }

    /// Which hits to try: in the first scenario the first, one in the middle and the last two; in the second the first; with `all`
    /// these and more of every scenario. Who passes a point how often depends on timing, so some may not come.
    fn hits(&self, scenario: usize, all: bool) -> Vec<usize> {
        let n = self.scenarios[scenario].n_times;
        let mut hits = match scenario {
            _ if all => vec![1, 2, n / 2 + 1, n.max(2) - 1, n],
            0 => vec![1, n / 2 + 1, n.max(2) - 1, n],
            1 => vec![1],
            _ => vec![],
        };
        hits.retain(|&hit| hit <= n);
        hits.sort_unstable();
        hits.dedup();
        hits
    }
}

/// Sweeps.
pub fn run(arguments: &[&str]) -> ExitCode {
    let (mut prefix, mut n_times, mut all) = ("", 1, false);
    let mut words = arguments.iter();
    while let Some(&word) = words.next() {
        match word {
            "--times" => n_times = words.next().and_then(|n| n.parse().ok()).expect("--times N"),
            "--all" => all = true,
            _ => prefix = word,
        }
    }
    let mut n_bad = 0;
    for time in 1..=n_times {
        n_bad += usize::from(!sweep(prefix, all));
        if n_times > 1 {
            println!("sweep {time} of {n_times}: {n_bad} failed so far\n");
        }
    }
    if n_bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sweep(prefix: &str, all: bool) -> bool {
    let start = Instant::now();
    let scratch = std::env::temp_dir().join(format!("ndpool-kill-points.{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("there is a directory for temporary files");
    let points = list();
    let twice = points.windows(2).filter(|pair| pair[0].name == pair[1].name);
    let mut faults: Vec<String> =
        twice.map(|pair| format!("two points are called {}", pair[0].name)).collect();

    let rows = rows(&points, prefix, &scratch, &mut faults);
    let traced = start.elapsed();
    let mut jobs = VecDeque::<Run>::new();
    for (index, row) in rows.iter().enumerate() {
        for scenario in 0..row.scenarios.len() {
            let hits = row.hits(scenario, all);
            jobs.extend(
                hits.into_iter()
                    .flat_map(|hit| row.who().iter().map(move |who| (index, scenario, hit, *who))),
            );
        }
    }
    let n_runs = jobs.len();
    let jobs = Mutex::new(jobs);
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..parallelism() {
            scope.spawn(|| {
                loop {
                    let next = jobs.lock().unwrap().pop_front();
                    let Some(run @ (index, scenario, hit, who)) = next else { return };
                    let outcome = kill_at(&rows[index], scenario, hit, who, &scratch);
                    if outcome.fault.is_some() {
                        let Row { point, scenarios, .. } = &rows[index];
                        let scenario = scenarios[scenario].scenario.name;
                        eprintln!("failed: {} in scenario {scenario}, hit {hit}, death of {who}", point.name);
                    }
                    outcomes.lock().unwrap().insert(run, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let table = table(&rows, &outcomes);
    println!("{table}");
    for ((index, scenario, hit, who), outcome) in &outcomes {
        if let Some(fault) = &outcome.fault {
            let Row { point, role, scenarios } = &rows[*index];
            faults.push(format!(
                "{} ({}:{}), passed by a {role} in scenario {}, hit {hit}, death of {who}: {fault}",
                point.name, point.file, point.line, scenarios[*scenario].scenario.name
            ));
        }
    }
    for (index, row) in rows.iter().enumerate() {
        for &who in row.who() {
            let mut runs = outcomes.iter().filter(|(run, _)| run.0 == index && run.3 == who);
            if runs.all(|(_, outcome)| outcome.word == "unreached") {
                faults.push(format!("{} was not reached for a death of {who}", row.point.name));
            }
        }
    }
    let count = |word: &str| outcomes.values().filter(|outcome| outcome.word == word).count();
    println!(
        "{} kill points, {n_runs} runs: {} exact, {} cleaned up by workers, {} by the next pool, {} with nobody to kill, {} that \
         did not come so far",
        points.len(),
        count("exact"),
        count("workers"),
        count("next"),
        count("nobody"),
        count("unreached"),
    );
    println!(
        "{:.1} s, {:.1} s of them for traces; {} failures",
        start.elapsed().as_secs_f64(),
        traced.as_secs_f64(),
        faults.len()
    );
    faults.iter().for_each(|fault| println!("\nFAILED: {fault}"));
    let _ = fs::remove_dir_all(&scratch);
    faults.is_empty()
}

fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 1
}

/// Has every scenario run unharmed, and finds out which points it passes, in which role.
fn rows(points: &[KillPoint], prefix: &str, scratch: &Path, faults: &mut Vec<String>) -> Vec<Row> {
    let queue = Mutex::new(scenario::ALL.iter().enumerate());
    let passed = Mutex::new(BTreeMap::<(String, String), BTreeMap<usize, usize>>::new());
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..parallelism() {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((index, scenario)) = next else { return };
                    let directory = fresh_directory(scratch);
                    let outcome = direct(scenario, "-", &directory);
                    if let Some(fault) = outcome.fault {
                        broken.lock().unwrap().push(format!("scenario {}, unharmed: {fault}", scenario.name));
                    }
                    if scenario.is_deadly() {
                        continue;
                    }
                    let trace = fs::read_to_string(directory.join("trace")).unwrap_or_default();
                    let mut passed = passed.lock().unwrap();
                    for line in trace.lines() {
                        let mut words = line.split(' ').map(str::to_owned);
                        let key = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                        *passed.entry(key).or_default().entry(index).or_default() += 1;
                    }
                    let _ = fs::remove_dir_all(&directory);
                }
            });
        }
    });
    faults.extend(broken.into_inner().unwrap());
    let passed = passed.into_inner().unwrap();
    let mut rows = Vec::new();
    for point in points.iter().filter(|point| point.name.starts_with(prefix)) {
        let n_before = rows.len();
        let of_this: Vec<_> = passed.iter().filter(|((name, _), _)| name == point.name).collect();
        for ((_, role), scenarios) in &of_this {
            let only_so =
                |index| of_this.iter().filter(|(_, others)| others.contains_key(index)).count() == 1;
            let scenarios = scenarios.iter().map(|(index, &n_times)| Passed {
                scenario: &scenario::ALL[*index],
                n_times,
                only_so: only_so(index),
            });
            rows.push(Row { point: *point, role: role.clone(), scenarios: scenarios.collect() });
        }
        if rows.len() == n_before {
            faults.push(format!("{} ({}:{}) is passed by no scenario", point.name, point.file, point.line));
        }
    }
    rows
}

/// Runs a scenario that passes the point, with a death there.
fn kill_at(row: &Row, scenario: usize, hit: usize, who: &str, scratch: &Path) -> Outcome {
    let Passed { scenario, only_so, .. } = row.scenarios[scenario];
    let directory = fresh_directory(scratch);
    let mut outcome = direct(scenario, &format!("{}:{hit}:{who}", row.point.name), &directory);
    // Their workers die anyway, and may be the only ones that could have cleaned up.
    let ends_itself =
        scenario.name == "retirement" || scenario.prelude.iter().any(|point| point.ends_with(":worker"));
    let is_watched = !ends_itself && row.role == "worker" && only_so && !UNWATCHED.contains(&row.point.name);
    if outcome.word == "next" && who == "supervisor" && is_watched {
        outcome.fault.get_or_insert_with(|| "the workers did not clean up".into());
    }
    let _ = fs::remove_dir_all(&directory);
    outcome
}

/// A name that is not taken, and short: paths of sockets have at most 107 bytes.
fn fresh_directory(scratch: &Path) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    scratch.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// Starts a director and waits for it.
fn direct(scenario: &Scenario, order: &str, directory: &Path) -> Outcome {
    fs::create_dir_all(directory).expect("there is space for a directory");
    let mark = directory.display().to_string();
    let mut director = Command::new("/proc/self/exe");
    director.args(["direct", scenario.name, order]).arg(directory);
    director.env("TMPDIR", directory).env("NDPOOL_KILL_MARK", &mark).env("RUST_BACKTRACE", "0");
    director.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = director.spawn().expect("the program can be started again");
    let (sender, ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || _ = sender.send(child.wait_with_output()));
    let output = ended.recv_timeout(PATIENCE);
    if output.is_err() {
        // All that carry this run's mark, and nobody else.
        for pid in ndpool_tests::processes_of("NDPOOL_KILL_MARK", &mark) {
            ndpool_tests::kill(pid);
        }
    }
    waiter.join().expect("it only waits");
    let Ok(Ok(output)) = output else {
        return Outcome { word: "hang".into(), fault: Some(format!("hangs in scenario {}", scenario.name)) };
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let (word, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let fault = (!output.status.success()).then(|| {
        format!(
            "scenario {}: {}\n{rest}\n{}",
            scenario.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    });
    Outcome { word: word.into(), fault }
}

fn table(rows: &[Row], outcomes: &BTreeMap<Run, Outcome>) -> String {
    let mut text = format!(
        "{:<32} {:<10}  {:<24} {:<24} both\n",
        "point", "passed by", "death of a worker", "supervisor"
    );
    for (index, row) in rows.iter().enumerate() {
        let cell = |who| {
            let mut counts = BTreeMap::<&str, usize>::new();
            for (_, outcome) in outcomes.iter().filter(|(run, _)| run.0 == index && run.3 == who) {
                let word = if outcome.fault.is_some() { "FAILED" } else { &outcome.word };
                *counts.entry(word).or_default() += usize::from(word != "unreached");
            }
            let counts = counts.into_iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        let [worker, supervisor, both] = WHO.map(cell);
        let line = match row.who() {
            ["self"] => format!("{:<32} whoever     {}", row.point.name, cell("self")),
            _ => format!("{:<32} {:<10}  {worker:<24} {supervisor:<24} {both}", row.point.name, row.role),
        };
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
