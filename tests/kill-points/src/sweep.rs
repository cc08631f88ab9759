use crate::scenario::{self, Scenario};
use ndpool::kill_points::{KillPoint, list};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// No run comes near it; a hang is all that it catches.
const PATIENCE: Duration = Duration::from_secs(60);

const WHO: [&str; 3] = ["worker", "supervisor", "both"];

/// A point that is passed at least so often in a scenario is tried in the middle too.
const OFTEN: usize = 4;

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
    scenarios: Vec<(&'static Scenario, usize)>,
}

/// Sweeps.
pub fn run(arguments: &[&str]) -> ExitCode {
    let (mut prefix, mut n_times) = ("", 1);
    let mut words = arguments.iter();
    while let Some(&word) = words.next() {
        match word {
            "--times" => n_times = words.next().and_then(|n| n.parse().ok()).expect("--times N"),
            _ => prefix = word,
        }
    }
    let mut n_bad = 0;
    for time in 1..=n_times {
        n_bad += usize::from(!sweep(prefix));
        if n_times > 1 {
            println!("sweep {time} of {n_times}: {n_bad} failed so far\n");
        }
    }
    if n_bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sweep(prefix: &str) -> bool {
    let start = Instant::now();
    let scratch = std::env::temp_dir().join(format!("ndpool-kill-points.{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("there is a directory for temporary files");
    let points = list();
    let twice = points.windows(2).filter(|pair| pair[0].name == pair[1].name);
    let mut faults: Vec<String> = twice.map(|pair| format!("two points are called {}", pair[0].name)).collect();

    let rows = rows(&points, prefix, &scratch, &mut faults);
    let traced = start.elapsed();
    let mut jobs = VecDeque::new();
    for (index, row) in rows.iter().enumerate() {
        for who in WHO {
            jobs.push_back((index, 1, who));
            let often = row.scenarios[0].1;
            if often >= OFTEN {
                jobs.push_back((index, often / 2 + 1, who));
            }
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
                    let Some((index, hit, who)) = next else { return };
                    let outcome = kill_at(&rows[index], hit, who, &scratch);
                    outcomes.lock().unwrap().insert((index, hit, who), outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let table = table(&rows, &outcomes);
    println!("{table}");
    for ((index, hit, who), outcome) in &outcomes {
        if let Some(fault) = &outcome.fault {
            let Row { point, role, .. } = &rows[*index];
            faults.push(format!("{} ({}:{}), passed by a {role}, hit {hit}, death of {who}: {fault}", point.name, point.file, point.line));
        }
    }
    let count = |word: &str| outcomes.values().filter(|outcome| outcome.word == word).count();
    println!(
        "{} kill points, {n_runs} runs: {} exact, {} cleaned up by workers, {} by the next pool, {} with nobody to kill",
        points.len(),
        count("exact"),
        count("workers"),
        count("next"),
        count("nobody"),
    );
    println!("{:.1} s, {:.1} s of them for traces; {} failures", start.elapsed().as_secs_f64(), traced.as_secs_f64(), faults.len());
    faults.iter().for_each(|fault| println!("\nFAILED: {fault}"));
    let _ = fs::remove_dir_all(&scratch);
    faults.is_empty()
}

fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 1
}

/// Has every scenario run unharmed, and finds out which points it passes, in which role.
fn rows(points: &[KillPoint], prefix: &str, scratch: &std::path::Path, faults: &mut Vec<String>) -> Vec<Row> {
    let queue = Mutex::new(scenario::ALL.iter().enumerate());
    let passed = Mutex::new(BTreeMap::<(String, String), BTreeMap<usize, usize>>::new());
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..parallelism() {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((index, scenario)) = next else { return };
                    let directory = scratch.join(format!("trace-{}", scenario.name));
                    let outcome = direct(scenario, "-", &directory);
                    if let Some(fault) = outcome.fault {
                        broken.lock().unwrap().push(format!("scenario {}, unharmed: {fault}", scenario.name));
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
        for ((name, role), scenarios) in &passed {
            if name == point.name {
                let scenarios = scenarios.iter().map(|(&index, &n)| (&scenario::ALL[index], n)).collect();
                rows.push(Row { point: *point, role: role.clone(), scenarios });
            }
        }
        if rows.len() == n_before {
            faults.push(format!("{} ({}:{}) is passed by no scenario", point.name, point.file, point.line));
        }
    }
    rows
}

/// Runs the first scenario that passes the point, with a death there.
fn kill_at(row: &Row, hit: usize, who: &str, scratch: &std::path::Path) -> Outcome {
    let (scenario, _) = row.scenarios[0];
    let directory = scratch.join(format!("{}-{}-{hit}-{who}", row.point.name, row.role));
    let mut outcome = direct(scenario, &format!("{}:{hit}:{who}", row.point.name), &directory);
    if outcome.word == "unreached" {
        outcome.fault.get_or_insert_with(|| format!("not reached in scenario {}", scenario.name));
    }
    let _ = fs::remove_dir_all(&directory);
    outcome
}

/// Starts a director and waits for it.
fn direct(scenario: &Scenario, order: &str, directory: &PathBuf) -> Outcome {
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
        format!("scenario {}: {}\n{rest}\n{}", scenario.name, output.status, String::from_utf8_lossy(&output.stderr))
    });
    Outcome { word: word.into(), fault }
}

fn table(rows: &[Row], outcomes: &BTreeMap<(usize, usize, &str), Outcome>) -> String {
    let mut text = format!("{:<32} {:<10} {:<10} {:>4}  {:<10} {:<10} {:<10}\n", "point", "passed by", "scenario", "hit", "worker", "supervisor", "both");
    for (index, row) in rows.iter().enumerate() {
        let mut hits: Vec<usize> = outcomes.keys().filter(|key| key.0 == index).map(|key| key.1).collect();
        hits.sort_unstable();
        hits.dedup();
        for hit in hits {
            let word = |who| outcomes.get(&(index, hit, who)).map_or("", |outcome| if outcome.fault.is_some() { "FAILED" } else { &outcome.word });
            let [worker, supervisor, both] = WHO.map(word);
            let _ = writeln!(
                text,
                "{:<32} {:<10} {:<10} {hit:>4}  {worker:<10} {supervisor:<10} {both:<10}",
                row.point.name, row.role, row.scenarios[0].0.name
            );
        }
    }
    text
}
