//! Goal: whoever asks for help gets it on stdout, with examples; whoever is wrong gets exit code 2 and the reason on stderr.
//!
//! Method: the real binary, with right and wrong arguments.

mod support;

use support::{ndpool, run, stderr, stdout};

const SUBCOMMANDS: [&str; 11] =
    ["describe", "reduce", "serve", "watch", "get", "put", "ls", "reap", "stress", "completions", "man"];

#[test]
fn every_help_text_has_examples_that_parse() {
    for subcommand in SUBCOMMANDS {
        let output = run(&[subcommand, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output);
        let (_, examples) = text.split_once("Examples:").unwrap_or_else(|| panic!("no examples:\n{text}"));
        assert!(examples.contains(&format!("ndpool {subcommand}")), "{text}");
    }
    let output = run(&["--help"]);
    for subcommand in SUBCOMMANDS {
        assert!(stdout(&output).contains(subcommand));
    }
    assert!(stdout(&output).contains("Exit codes"));
}

#[test]
fn operations_and_their_flags_are_in_the_help_of_reduce() {
    let output = run(&["reduce", "--help"]);
    for op in ndpool::ops::dynamic::Op::ALL {
        assert!(stdout(&output).contains(op.name()), "{op} is not in:\n{}", stdout(&output));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let wrong: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["frobnicate"], "frobnicate"),
        (&["describe"], "FILE.npy"),
        (&["describe", "x.npy", "--workers", "0"], "--workers"),
        (&["describe", "x.npy", "--repeat", "0"], "--repeat"),
        (&["describe", "x.npy", "--axis", "0"], "--axis"),
        (&["reduce", "x.npy"], "--op"),
        (&["reduce", "x.npy", "--op", "summ"], "possible values"),
        (&["reduce", "x.npy", "--op", "sum", "--attempts", "0"], "--attempts"),
        (&["reduce", "x.npy", "--op", "sum", "--attempts", "32"], "--attempts"),
        (&["reduce", "x.npy", "--op", "sum", "--axis", "first"], "--axis"),
        (&["reduce", "x.npy", "--op", "sum", "--ddof", "1"], "sum does not take --ddof"),
        (&["reduce", "x.npy", "--op", "sum", "--with", "y.npy"], "sum does not take --with"),
        (&["reduce", "x.npy", "--op", "norm1", "--ord", "2"], "norm1 does not take --ord"),
        (&["reduce", "x.npy", "--op", "norm", "--ord", "3"], "--ord"),
        (&["reduce", "x.npy", "--op", "histogram", "--axis", "0"], "histogram does not take --axis"),
        (&["reduce", "x.npy", "--op", "histogram", "--bins", "0"], "--bins"),
        (&["reduce", "x.npy", "--op", "histogram", "--range", "0"], "--range"),
        (&["reduce", "x.npy", "--op", "dot"], "--with"),
        (&["reduce", "x.npy", "--op", "dot", "--with", "y.npy", "--axis", "0"], "dot does not take --axis"),
        (&["serve", "x.npy"], "--name"),
        (&["serve", "--name", "prices", "a/x.npy", "b/x.npy"], "ITEM=b/x.npy"),
        (&["serve", "--name", "prices", "--after-kill", "cry"], "--after-kill"),
        (&["watch"], "SERVER"),
        (&["watch", "prices/close/last"], "SERVER/ITEM"),
        (&["watch", "prices", "--every", "0s"], "--every"),
        (&["watch", "prices", "--every", "soon"], "--every"),
        (&["watch", "prices", "--count", "0"], "--count"),
        (&["watch", "prices", "--prometheus=here"], "--prometheus"),
        (&["get", "prices"], "--output"),
        (&["put", "prices"], "FILE.npy"),
        (&["stress", "--seconds", "a while"], "--seconds"),
        (&["stress", "--supervisors", "0"], "--supervisors"),
        (&["completions", "csh"], "csh"),
        (&["man", "frobnicate"], "frobnicate"),
    ];
    for (args, reason) in wrong {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(stderr(&output).contains(reason), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn every_shell_gets_completions_and_every_subcommand_a_page() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("describe"), "{shell}");
    }
    let page = run(&["man"]);
    assert!(stdout(&page).contains(".TH ndpool 1"), "{}", stdout(&page));
    for subcommand in SUBCOMMANDS {
        let page = run(&["man", subcommand]);
        assert_eq!(page.status.code(), Some(0));
        assert!(stdout(&page).contains(&format!(".TH ndpool-{subcommand} 1")), "{}", stdout(&page));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for args in [
        &["--help"][..],
        &["reduce", "--help"],
        &["completions", "bash"],
        &["man"],
        &["ls"],
        &["ls", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        // Nobody reads from before the first byte.
        drop(reader);
        let output = ndpool().args(args).stdout(writer).output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has /dev/full");
    let output = ndpool().args(["ls", "--json"]).stdout(full).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write to stdout"), "{}", stderr(&output));
}
