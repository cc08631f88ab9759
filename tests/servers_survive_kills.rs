//! Goal: a data server's death by SIGKILL harms nobody who is attached; the next one takes over or removes what it left, as it said; a signal
//! that can be handled leaves nothing; and whoever publishes may be killed at any moment without anybody seeing a half.
//! Method: servers, publishers and clients are processes of their own, killed at chosen moments or by chance. Every array that is published
//! holds one number again and again, so that a mixture shows.

use ndarray::{Array, Ix1, Ix2, array};
use ndpool::DType;
use ndpool::ops::dynamic::AnyValue;
use ndpool::server::{self, AfterKill, Change, DataClient, DataServer, How, ServerError, State};
use ndpool::shared::Options;
use ndpool_tests::{
    Actor, Random, become_member, kill, role, say, skip, wait_to_be_told, wait_until, watchdog,
};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A server's name that no other test has.
fn unique(test: &str) -> String {
    format!("{}-{}", &test[..test.len().min(40)], std::process::id())
}

/// Files of a server that there are.
fn files(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|file| *file == format!("ndpool.{name}") || file.starts_with(&format!("ndpool.{name}.")))
        .collect()
}

fn source(error: &ndpool::Error) -> &ServerError {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.unwrap_or_else(|| panic!("not a server's error: {error:#?}"))
}

/// A server that says what it has taken over, and lives until it is let go.
fn play_server(name: &str, after_kill: AfterKill, group_read: bool) {
    let builder =
        DataServer::builder(name).after_kill(after_kill).group_read(group_read).handle_signals(true);
    let server = builder.start().unwrap();
    say(&format!("has {}", server.recovered().join(",")));
    wait_to_be_told();
    server.close().unwrap();
}

/// Plays a role, which is a word and a server's name; whether there was one.
fn play() -> bool {
    let Some(role) = role() else { return false };
    let (role, name) = role.split_once(' ').expect("a role and a name");
    match role {
        "recovers" => play_server(name, AfterKill::Recover, false),
        "removes" => play_server(name, AfterKill::Remove, false),
        "for-group" => play_server(name, AfterKill::Recover, true),
        "waits" => play_waiter(name),
        "swaps" => play_swapper(name),
        "creates" => play_creator(name),
        role => play_stranger(role, name),
    }
    true
}

fn start(test: &str, role: &str, name: &str) -> Actor {
    let mut server = Actor::start(test, &format!("{role} {name}"));
    assert!(server.hear().starts_with("has"));
    server
}

fn end_by_kill(server: Actor) {
    assert!(kill(server.pid()));
    assert_eq!(server.wait().1.signal(), Some(libc::SIGKILL));
}

#[test]
fn clients_outlive_a_killed_server_and_the_next_one_takes_its_items_over() {
    const NAME: &str = "clients_outlive_a_killed_server_and_the_next_one_takes_its_items_over";
    if play() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("outlive");
    let server = start(NAME, "recovers", &name);
    let client = DataClient::connect(&name).unwrap();
    client.put("x", &array![1.0, 1.0]).unwrap();
    client.put("y", &array![[1_u8]]).unwrap();
    let mut x = client.array::<f64, Ix1>("x").unwrap();
    let buffer = client.create_double_buffer::<i32, Ix1>("b", 2).unwrap();
    let mut writer = buffer.writer().unwrap();
    let seen = client.changes().unwrap();

    end_by_kill(server);
    assert!(!client.is_alive());
    // Reading, writing in place and attaching go on; nothing new is published without a server.
    assert_eq!(x.read().unwrap().array, array![1.0, 1.0]);
    assert_eq!(client.put("x", &array![2.0, 2.0]).unwrap().how, How::Updated);
    assert_eq!(x.wait(1, None), Change::Newer(2));
    assert_eq!(client.array::<u8, Ix2>("y").unwrap().read().unwrap().array, array![[1_u8]]);
    writer.write(|mut frame| frame.fill(7));
    for error in [client.put("x", &array![1.0]).unwrap_err(), client.put("z", &array![1.0]).unwrap_err()] {
        assert!(matches!(source(&error), ServerError::NoServer { .. }), "{error}");
    }
    assert!(server::reap(false, false).unwrap().iter().all(|server| server.name != name));

    let mut server = Actor::start(NAME, &format!("recovers {name}"));
    assert_eq!(server.hear(), "has b,x,y");
    assert!(client.wait_changes(seen, None).unwrap().is_some() && client.is_alive());
    assert_eq!((x.state(), x.read().unwrap().array), (State::Current, array![2.0, 2.0]));
    assert_eq!(client.put("x", &array![3.0]).unwrap().how, How::Swapped);
    assert_eq!((x.wait(2, None), client.items().unwrap().len()), (Change::Replaced, 3));
    assert_eq!(writer.write(|mut frame| frame.fill(8)), 2);

    // And with everybody told, to its end.
    x.refresh().unwrap();
    let (_, status) = server.let_go();
    assert!(status.success());
    assert_eq!((x.state(), x.read().unwrap().array), (State::Removed, array![3.0]));
    assert!(matches!(source(&client.items().unwrap_err()), ServerError::NoServer { .. }));
    assert_eq!(files(&name), [""; 0]);
    // The same client finds the server after that.
    let server = start(NAME, "recovers", &name);
    assert_eq!(client.put("x", &array![4.0]).unwrap().how, How::Created);
    x.refresh().unwrap();
    assert_eq!(x.read().unwrap().array, array![4.0]);
    drop((server.let_go(), x));
    assert_eq!(files(&name), [""; 0]);
}

#[test]
fn what_a_killed_server_left_is_removed_if_it_said_so() {
    const NAME: &str = "what_a_killed_server_left_is_removed_if_it_said_so";
    if play() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("removed");
    let publish = |role| {
        let server = start(NAME, role, &name);
        let client = DataClient::connect(&name).unwrap();
        client.put("x", &array![5.0]).unwrap();
        let item = client.array::<f64, Ix1>("x").unwrap();
        end_by_kill(server);
        item
    };
    // By the next server, by the reaper, and by one that removes what is to be recovered too.
    let mut x = publish("removes");
    let mut next = Actor::start(NAME, &format!("recovers {name}"));
    assert_eq!(next.hear(), "has");
    assert_eq!((x.wait(1, None), x.read().unwrap().array), (Change::Removed, array![5.0]));
    drop(next.let_go());
    for (role, recoverable) in [("removes", false), ("recovers", true)] {
        let mut x = publish(role);
        let mine =
            |infos: Vec<server::ServerInfo>| infos.into_iter().filter(|info| info.name == name).count();
        if recoverable {
            assert_eq!(mine(server::reap(false, true).unwrap()), 0);
        }
        assert_eq!(mine(server::list().unwrap()), 1);
        assert_eq!((mine(server::reap(recoverable, true).unwrap()), x.state()), (1, State::Current));
        assert_eq!((mine(server::reap(recoverable, false).unwrap()), x.state()), (1, State::Removed));
        assert_eq!((x.read().unwrap().array, files(&name)), (array![5.0], vec![]));
    }
}

#[test]
fn a_signal_ends_a_server_and_leaves_nothing() {
    const NAME: &str = "a_signal_ends_a_server_and_leaves_nothing";
    if play() {
        return;
    }
    let _watchdog = watchdog();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let name = unique("signal");
        let server = start(NAME, "recovers", &name);
        let client = DataClient::connect(&name).unwrap();
        client.put("x", &array![1, 2, 3]).unwrap();
        client.put("y", &array![[0.5]]).unwrap();
        let mut x = client.array::<i32, Ix1>("x").unwrap();
        let seen = client.changes().unwrap();
        server.signal(signal);
        let (text, status) = server.wait();
        assert_eq!(status.signal(), Some(signal as i32), "{status}: {text}");
        assert_eq!(files(&name), [""; 0]);
        assert_eq!((x.wait(1, None), x.read().unwrap().array), (Change::Removed, array![1, 2, 3]));
        assert!(matches!(
            source(&client.wait_changes(seen, None).unwrap_err()),
            ServerError::NoServer { .. }
        ));
    }
}

/// Waits for a version, a swap and a removal, and says so.
fn play_waiter(name: &str) {
    let client = DataClient::connect(name).unwrap();
    let mut x = client.array::<f64, Ix1>("x").unwrap();
    let mut seen = x.version();
    say("waits");
    loop {
        let change = x.wait(seen, None);
        match change {
            Change::Newer(version) => seen = version,
            Change::Replaced => {
                x.refresh().unwrap();
                seen = x.version();
            }
            _ => {}
        }
        say(&format!("{change:?}"));
        if change == Change::Removed {
            return;
        }
    }
}

#[test]
fn a_client_that_sleeps_in_another_process_is_told_what_happens_to_its_array() {
    const NAME: &str = "a_client_that_sleeps_in_another_process_is_told_what_happens_to_its_array";
    if play() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("told");
    let server = DataServer::new(&name).unwrap();
    server.put("x", &array![1.0]).unwrap();
    let mut waiter = Actor::start(NAME, &format!("waits {name}"));
    assert_eq!(waiter.hear(), "waits");
    server.put("x", &array![2.0]).unwrap();
    assert_eq!(waiter.hear(), "Newer(2)");
    server.put("x", &array![2.0, 3.0]).unwrap();
    assert_eq!(waiter.hear(), "Replaced");
    server.remove("x").unwrap();
    assert_eq!(waiter.hear(), "Removed");
    assert!(waiter.wait().1.success());
}

/// Publishes arrays of all shapes and three types under one name, each full of one number, for ever.
fn play_swapper(name: &str) {
    let client = DataClient::connect(name).unwrap();
    let mut random = Random::new(u64::from(std::process::id()));
    say("swaps");
    loop {
        let value = random.below(1..200);
        let shape = (random.below(1..60) as usize, random.below(1..60) as usize);
        let array: AnyValue = match random.below(0..3) {
            0 => Array::from_elem(shape, value as f64).into_dyn().into(),
            1 => Array::from_elem(shape, value as u8).into_dyn().into(),
            _ => Array::from_elem(shape.0, value as i32).into_dyn().into(),
        };
        match client.put("x", &array) {
            Ok(_) => {}
            // Another swapper was stopped on the way; the killer's doing.
            Err(error) if matches!(source(&error), ServerError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_swap_never_shows_a_half_whoever_is_killed() {
    const NAME: &str = "a_swap_never_shows_a_half_whoever_is_killed";
    const N_KILLS: usize = 60;
    if play() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("swap");
    let server = DataServer::new(&name).unwrap();
    server.put("x", &array![[1.0]]).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut n_read, mut n_replaced, mut seen) = (0_u64, 0_u64, [false; 3]);
                    while !is_over.load(Ordering::Relaxed) {
                        // The name is never nobody's.
                        let mut x = server.any_array("x").unwrap();
                        while x.state() == State::Current && !is_over.load(Ordering::Relaxed) {
                            let (_, value) = x.read().unwrap();
                            let numbers = value.numbers();
                            assert!(
                                numbers.iter().all(|number| *number == numbers[0]),
                                "a mixture: {value:?}"
                            );
                            assert_eq!(value.shape().iter().product::<usize>(), numbers.len());
                            let dtypes = [DType::F64, DType::U8, DType::I32];
                            seen[dtypes.iter().position(|dtype| *dtype == value.dtype()).unwrap()] = true;
                            n_read += 1;
                        }
                        n_replaced += 1;
                    }
                    (n_read, n_replaced, seen)
                })
            })
            .collect();
        let new = || {
            let mut swapper = Actor::start(NAME, &format!("swaps {name}"));
            assert_eq!(swapper.hear(), "swaps");
            swapper
        };
        let mut swappers = [new(), new()];
        let mut random = Random::new(7);
        for i in 0..N_KILLS {
            let swapper = &mut swappers[i % 2];
            let pause = Duration::from_micros(random.below(0..20_000));
            let start = Instant::now();
            wait_until(|| start.elapsed() >= pause);
            kill(swapper.pid());
            *swapper = new();
        }
        drop(swappers);
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            let (n_read, n_replaced, seen) = reader.join().unwrap();
            println!("{n_read} reads, {n_replaced} replaced");
            assert!(n_read > 100 && n_replaced > 10 && seen == [true; 3], "{n_read} {n_replaced} {seen:?}");
        }
    });
    // A killed publisher leaves files on their way, which count for nothing and are removed with the next look.
    assert_eq!(server.items().unwrap().len(), 1);
    server.put("x", &array![1.0]).unwrap();
    drop(server);
    assert_eq!(files(&name), [""; 0]);
    // Those that were killed last have had no look since.
    drop(DataServer::new(&name).unwrap());
}

/// Creates items until it is refused, and says how many.
fn play_creator(name: &str) {
    let client = DataClient::connect(name).unwrap();
    say("ready");
    wait_to_be_told();
    let mut n_created = 0;
    loop {
        match client.create(&format!("i{}-{n_created}", std::process::id()), &array![1.0]) {
            Ok(_) => n_created += 1,
            Err(error) => {
                let ServerError::Limit { what: "items", used, asked: 1, allowed, .. } = source(&error) else {
                    panic!("{error}")
                };
                assert_eq!(used, allowed);
                return say(&n_created.to_string());
            }
        }
    }
}

#[test]
fn limits_hold_under_concurrent_puts() {
    const NAME: &str = "limits_hold_under_concurrent_puts";
    const LIMIT: usize = 40;
    if play() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("limits");
    let server = DataServer::builder(&name).max_items(LIMIT as u64).start().unwrap();
    let new = || {
        let mut creator = Actor::start(NAME, &format!("creates {name}"));
        assert_eq!(creator.hear(), "ready");
        creator
    };
    let mut creators = [new(), new(), new(), new()];
    creators.iter_mut().for_each(|creator| creator.tell("go"));
    wait_until(|| {
        // Also while they are at it.
        let n_items = server.usage().unwrap().n_items as usize;
        assert!(n_items <= LIMIT, "{n_items} items");
        n_items == LIMIT
    });
    let n_created: usize = creators.iter_mut().map(|creator| creator.hear().parse::<usize>().unwrap()).sum();
    assert_eq!((n_created, server.items().unwrap().len()), (LIMIT, LIMIT));
}

/// The user that strangers are.
const STRANGER: u32 = 54_321;

/// Another user: says what it may do.
fn play_stranger(role: &str, name: &str) {
    become_member(STRANGER, if role == "member" { 0 } else { STRANGER });
    let mine = DataClient::connect(name).map(drop).unwrap_err();
    let reading = Options::new().owner(0).read_only(true);
    let refused = |error: &ndpool::Error| match source(error) {
        ServerError::NotYours { doing, user: STRANGER, owner: 0, mode, .. } => format!("{doing} {mode:o}"),
        other => panic!("{other:?}"),
    };
    let client = match DataClient::connect_with(&reading, name) {
        Ok(client) => client,
        Err(error) => return say(&format!("{} {}", refused(&mine), refused(&error))),
    };
    let mut x = client.array::<f64, Ix1>("x").unwrap();
    assert_eq!((x.read().unwrap().number, x.read().unwrap().array), (1, array![1.0, 2.0]));
    let put = client.put("x", &array![0.0, 0.0]).unwrap_err();
    let remove = client.remove("x").unwrap_err();
    let writing = DataClient::connect_with(&Options::new().owner(0), name).map(drop).unwrap_err();
    say(&[&mine, &put, &remove, &writing].map(refused).join(","));
    assert_eq!(x.wait(1, None), Change::Newer(2));
    assert_eq!(x.read().unwrap().array, array![3.0, 4.0]);
    say("read");
    assert_eq!(x.wait(2, None), Change::Removed);
    say("removed");
}

#[test]
fn only_the_owner_reads_unless_the_group_may_and_nobody_else_writes() {
    const NAME: &str = "only_the_owner_reads_unless_the_group_may_and_nobody_else_writes";
    if play() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can become another user");
    }
    let _watchdog = watchdog();
    let name = unique("users");
    for (server, stranger, is_let) in
        [("recovers", "member", false), ("for-group", "other", false), ("for-group", "member", true)]
    {
        let server = start(NAME, server, &name);
        let client = DataClient::connect(&name).unwrap();
        client.put("x", &array![1.0, 2.0]).unwrap();
        let mut stranger = Actor::start(NAME, &format!("{stranger} {name}"));
        let said = stranger.hear();
        if is_let {
            assert_eq!(said, "write 640,write 640,write 640,write 640");
            client.put("x", &array![3.0, 4.0]).unwrap();
            assert_eq!(stranger.hear(), "read");
            client.remove("x").unwrap();
            assert_eq!(stranger.hear(), "removed");
        } else {
            let mode = if files(&name).is_empty() { "" } else { &said[said.len() - 3..] };
            assert!(said.contains("read") && ["600", "640"].contains(&mode), "{said}");
        }
        drop((stranger, server.let_go()));
        assert_eq!(files(&name), [""; 0]);
    }
}
