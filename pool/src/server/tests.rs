use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::catalog::{Admission, Catalog};
use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{DType, PAGE_BYTES, write_header};
use crate::shared::{self, Kind, Options, Plan, Published, Role};
use crate::testing::scratch_directory;

/// Publishes a file of one page of data on a server's terms.
pub(super) fn publish(client: &DataClient, item: &str, replaces: bool) -> Result<Published> {
    let name = format!("{}/{item}", client.name());
    let catalog = client.writable()?;
    let gate = Arc::new(Admission { catalog, name: name.clone(), replaces });
    let replaces = replaces
        .then(|| Published::attach(client.options(), &name.parse()?, Kind::ALL))
        .transpose()?
        .map(Arc::new);
    let options = client.options().clone().keep(true).terms(shared::Terms { gate, replaces });
    let plan = Plan {
        kind: Kind::Matrix,
        header: write_header(DType::F64, &[2, 16, 16], PAGE_BYTES),
        data_len: 4096,
        n_buffers: 2,
        n_columns: 1,
        n_table_words: 3,
    };
    Published::create(&options, &name.parse()?, &plan, |_| Ok(()))
}

pub(super) fn source(error: &Error) -> &ServerError {
    std::error::Error::source(error).and_then(|source| source.downcast_ref()).expect("a server's error")
}

pub(super) fn names(client: &DataClient) -> Vec<String> {
    client.items().unwrap().into_iter().map(|item| item.name).collect()
}

/// As SIGKILL ends a server: nothing of it runs any more, and the kernel drops its locks.
pub(super) fn kill(directory: &Path, server: DataServer) {
    let path = directory.join(format!("ndpool.{}", server.name()));
    let catalog = Catalog::attach(server.options(), server.name()).unwrap().unwrap();
    assert!(path.exists() && catalog.is_served());
    server.kill();
    assert!(path.exists() && !catalog.is_served());
}

#[test]
fn what_is_published_stays_with_the_server_and_goes_with_it() {
    let directory = scratch_directory("server-life");
    let options = Options::new().directory(&directory);
    let server = DataServer::builder("s").directory(&directory).start().unwrap();
    let client = DataClient::connect_with(&options, "s").unwrap();
    let changes = client.changes().unwrap();
    let kept = publish(&client, "a", false).unwrap();
    drop(publish(&client, "b", false).unwrap());
    assert_eq!(names(&client), ["a", "b"]);
    assert_eq!(client.wait_changes(changes, None).unwrap(), Some(changes + 2));
    assert!(publish(&client, "a", false).is_err());
    let again = publish(&client, "a", true).unwrap();
    assert!(!kept.is_current() && again.is_current());
    assert!(shared::reap_in(&directory, true, false).unwrap().is_empty(), "it is the server's");
    client.remove("b").unwrap();
    assert!(
        matches!(source(&client.remove("b").unwrap_err()), ServerError::NoItem { there, .. } if there == &["a"])
    );
    server.close().unwrap();
    assert!(!again.is_current());
    assert!(matches!(source(&publish(&client, "c", false).unwrap_err()), ServerError::NoServer { .. }));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_name_has_one_living_server_and_an_ended_one_is_found_by_its_clients_again() {
    let directory = scratch_directory("server-two");
    let options = Options::new().directory(&directory);
    let builder = || DataServer::builder("s").directory(&directory);
    let server = builder().start().unwrap();
    let error = builder().start().unwrap_err();
    assert!(
        matches!(source(&error), ServerError::Taken { pid, .. } if *pid == std::process::id()),
        "{error}"
    );
    assert!(DataServer::new("s/t").is_err() && DataServer::new("").is_err());
    let other = DataServer::builder("other").directory(&directory).start().unwrap();
    let client = DataClient::connect_with(&options, "s").unwrap();
    let seen = client.changes().unwrap();
    drop(server);
    assert!(!client.is_alive());
    let error = client.items().unwrap_err();
    assert!(matches!(source(&error), ServerError::NoServer { there, .. } if there == &["other"]), "{error}");
    let server = builder().start().unwrap();
    assert!(client.is_alive() && client.wait_changes(seen, None).unwrap().is_some());
    publish(&client, "a", false).unwrap();
    assert_eq!(names(&server), ["a"]);
    drop((server, other));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn limits_are_kept_and_say_what_is_used_asked_and_allowed() {
    let directory = scratch_directory("server-limits");
    let server =
        DataServer::builder("s").directory(&directory).max_items(2).max_bytes(40_000).start().unwrap();
    let len = publish(&server, "a", false).unwrap().len_bytes() as u64;
    assert_eq!(len, 4 * 4096);
    publish(&server, "b", false).unwrap();
    let error = publish(&server, "c", false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    let wanted = ServerError::Limit { server: "s".into(), what: "items", used: 2, asked: 1, allowed: 2 };
    assert_eq!(source(&error), &wanted);
    // What is replaced does not count.
    publish(&server, "b", true).unwrap();
    server.remove("b").unwrap();
    assert_eq!(server.usage().unwrap().used_bytes, len);
    drop(server);
    let server = DataServer::builder("s").directory(&directory).max_bytes(len + 1).start().unwrap();
    publish(&server, "a", false).unwrap();
    let error = publish(&server, "b", false).unwrap_err();
    let wanted =
        ServerError::Limit { server: "s".into(), what: "bytes", used: len, asked: len, allowed: len + 1 };
    assert_eq!(source(&error), &wanted);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing is left of what was refused");
    drop(server);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn what_a_killed_server_left_is_taken_over_or_removed_as_it_said() {
    let directory = scratch_directory("server-killed");
    let options = Options::new().directory(&directory);
    let builder = |after_kill| DataServer::builder("s").directory(&directory).after_kill(after_kill);
    let server = builder(AfterKill::Recover).start().unwrap();
    let client = DataClient::connect_with(&options, "s").unwrap();
    let item = publish(&client, "a", false).unwrap();
    kill(&directory, server);
    assert!(!client.is_alive() && item.is_current());
    assert_eq!(names(&client), ["a"]);
    assert!(matches!(source(&publish(&client, "b", false).unwrap_err()), ServerError::NoServer { .. }));
    assert!(reap_in(&directory, false, false).unwrap().is_empty());

    let server = builder(AfterKill::Remove).start().unwrap();
    assert_eq!(server.recovered(), ["a"]);
    assert!(client.is_alive() && item.is_current());
    publish(&client, "b", false).unwrap();
    kill(&directory, server);
    let server = builder(AfterKill::Recover).start().unwrap();
    assert!(server.recovered().is_empty() && !item.is_current() && names(&client).is_empty());
    publish(&client, "c", false).unwrap();
    kill(&directory, server);
    let [info] = &reap_in(&directory, true, true).unwrap()[..] else { panic!("one server") };
    assert!(!info.alive && info.usage.n_items == 1 && info.after_kill == AfterKill::Recover);
    assert_eq!(names(&client), ["c"], "a dry run");
    assert_eq!(reap_in(&directory, true, false).unwrap().len(), 1);
    assert!(client.items().is_err());
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);

    kill(&directory, builder(AfterKill::Remove).start().unwrap());
    let living = DataServer::builder("living").directory(&directory).start().unwrap();
    assert_eq!(
        list_in(&directory).unwrap().iter().map(|server| server.alive).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(reap_in(&directory, false, false).unwrap().len(), 1);
    drop(living);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn another_mode_makes_another_catalog_and_clients_find_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = scratch_directory("server-mode");
    let options = Options::new().directory(&directory);
    let start =
        |group_read| DataServer::builder("s").directory(&directory).group_read(group_read).start().unwrap();
    let mode = |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
    let server = start(false);
    let client = DataClient::connect_with(&options, "s").unwrap();
    publish(&client, "a", false).unwrap();
    assert_eq!((mode("ndpool.s"), mode("ndpool.s.a")), (0o600, 0o600));
    kill(&directory, server);
    let server = start(true);
    assert_eq!(server.recovered(), ["a"]);
    assert!(client.is_alive());
    assert_eq!((mode("ndpool.s"), mode("ndpool.s.a")), (0o640, 0o600));
    assert!(DataServer::builder("s").directory(&directory).start().is_err(), "it is served");
    let reader = DataClient::connect_with(&options.clone().read_only(true), "s").unwrap();
    assert_eq!(names(&reader), ["a"]);
    assert!(matches!(source(&reader.remove("a").unwrap_err()), ServerError::NotYours { doing: "write", .. }));
    drop(server);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn nothing_is_published_behind_the_back_of_who_holds_the_lock() {
    let directory = scratch_directory("server-lock");
    let server = DataServer::builder("s").directory(&directory).max_items(3).start().unwrap();
    let locked = Catalog::attach(server.options(), "s").unwrap().unwrap();
    assert!(locked.published().try_take(Role::Catalog).unwrap());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let client = server.client().clone();
                scope.spawn(move || publish(&client, &format!("i{i}"), false).is_ok())
            })
            .collect();
        assert!(names(&server).is_empty());
        drop(locked);
        let n_published = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|ok| *ok).count();
        assert_eq!((n_published, names(&server).len()), (3, 3));
    });
    drop(server);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn what_has_lost_its_catalog_by_hand_is_reaped_or_taken_over() {
    let directory = scratch_directory("server-orphans");
    for reaps in [true, false] {
        let server = DataServer::builder("s").directory(&directory).start().unwrap();
        publish(&server, "a", false).unwrap();
        fs::remove_file(directory.join("ndpool.s")).unwrap();
        server.kill();
        if reaps {
            reap_in(&directory, false, false).unwrap();
        } else {
            let server = DataServer::builder("s").directory(&directory).start().unwrap();
            assert_eq!(server.recovered(), ["a"]);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_server_whose_catalog_was_removed_by_hand_leaves_its_items_to_the_next() {
    let directory = scratch_directory("server-supplanted");
    let first = DataServer::builder("s").directory(&directory).start().unwrap();
    publish(&first, "a", false).unwrap();
    fs::remove_file(directory.join("ndpool.s")).unwrap();
    let second = DataServer::builder("s").directory(&directory).start().unwrap();
    assert_eq!(second.recovered(), ["a"]);
    first.close().unwrap();
    assert_eq!((names(&second), second.is_alive()), (vec!["a".to_owned()], true));
    second.close().unwrap();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn what_is_taken_back_is_the_own_file_alone() {
    let directory = scratch_directory("server-taken-back");
    let server = DataServer::builder("s").directory(&directory).start().unwrap();
    let client = server.client().clone();
    // The server ends without the lock, after the publisher has looked for it and before he asks whether it has kept its name.
    #[derive(Debug)]
    struct Late(std::path::PathBuf, bool);
    impl shared::Gate for Late {
        fn foresee(&self, _: u64) -> Result<()> {
            Ok(())
        }
        fn pass(&self, _: u64, publish: &mut dyn FnMut() -> Result<()>) -> Result<()> {
            publish()?;
            if self.1 {
                fs::remove_file(&self.0).unwrap();
                fs::write(&self.0, "another's").unwrap();
            }
            Err(ServerError::NoServer { name: "s".to_owned(), there: vec![] }.into())
        }
        fn is_open(&self) -> bool {
            true
        }
    }
    for is_replaced in [false, true] {
        let path = directory.join("ndpool.s.a");
        let gate = Arc::new(Late(path.clone(), is_replaced));
        let options = client.options().clone().keep(true).terms(shared::Terms { gate, replaces: None });
        let error = shared::DoubleBuffer::<u8, ndarray::Ix1>::create_with(&options, "s/a", 3).unwrap_err();
        assert!(matches!(source(&error), ServerError::NoServer { .. }));
        assert_eq!(path.exists(), is_replaced);
    }
    fs::remove_file(directory.join("ndpool.s.a")).unwrap();
    drop(server);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn arrays_are_created_updated_in_place_and_swapped_for_others() {
    use ndarray::{Ix1, Ix2, IxDyn, array};
    let directory = scratch_directory("server-put");
    let server = DataServer::builder("s").directory(&directory).start().unwrap();
    let how = |put: Result<Put>| put.map(|put| (put.how, put.version)).unwrap();
    let refusal = |result: Result<Put>| source(&result.unwrap_err()).clone();
    assert!(matches!(refusal(server.update("x", &array![1.0])), ServerError::NoItem { .. }));
    assert_eq!(how(server.create("x", &array![1.0, 2.0])), (How::Created, 1));
    assert!(matches!(refusal(server.create("x", &array![1.0, 2.0])), ServerError::Exists { .. }));
    let mut x = server.array::<f64, Ix1>("x").unwrap();
    assert_eq!((x.version(), x.read().unwrap().array), (1, array![1.0, 2.0]));
    assert_eq!(how(server.update("x", &array![3.0, 4.0])), (How::Updated, 2));
    // Not in C order.
    assert_eq!(how(server.put("x", &array![[5.0, 0.0], [6.0, 0.0]].column(0))), (How::Updated, 3));
    assert_eq!((x.state(), x.read().unwrap().array), (State::Current, array![5.0, 6.0]));

    // Another shape, another rank, another type.
    assert_eq!(how(server.put("x", &array![7.0])), (How::Swapped, 1));
    assert_eq!((x.state(), x.read().unwrap().array), (State::Replaced, array![5.0, 6.0]));
    x.refresh().unwrap();
    assert_eq!((x.state(), x.read().unwrap().array), (State::Current, array![7.0]));
    assert_eq!(how(server.update("x", &array![[1.0, 2.0]])), (How::Swapped, 1));
    let error = x.refresh().unwrap_err();
    assert!(matches!(source(&error), ServerError::WrongRank { shape, wanted: 1, .. } if shape == &[1, 2]));
    assert_eq!(how(server.put("x", &array![[1_u8, 2]].into_dyn())), (How::Swapped, 1));
    let error = server.array::<f64, Ix2>("x").unwrap_err();
    assert!(matches!(source(&error), ServerError::WrongDType { found: DType::U8, .. }));
    assert_eq!(server.array::<u8, IxDyn>("x").unwrap().read().unwrap().array, array![[1_u8, 2]].into_dyn());
    let mut any = server.any_array("x").unwrap();
    assert_eq!((any.dtype(), any.shape()), (DType::U8, &[1, 2][..]));
    assert_eq!(any.read().unwrap().0, 1);
    assert_eq!(how(server.put("x", &any.read().unwrap().1)), (How::Updated, 2));

    // A writer that stays.
    let buffer = server.create_double_buffer::<i32, Ix1>("b", 3).unwrap();
    assert!(server.create_double_buffer::<i32, Ix1>("b", 3).is_err());
    let mut writer = buffer.writer().unwrap();
    writer.write(|mut frame| frame.fill(1));
    assert!(matches!(refusal(server.put("b", &array![1, 2, 3])), ServerError::Busy { doing: "writes", .. }));
    drop(writer);
    assert_eq!(how(server.put("b", &array![1, 2, 3])), (How::Updated, 2));
    assert_eq!(how(server.put("b", &array![1])), (How::Swapped, 1));

    // What is not the server's.
    let event = publish_unserved(&directory, "s/event");
    assert!(matches!(refusal(server.put("event", &array![1])), ServerError::Exists { .. }));
    let error = server.any_array("event").unwrap_err();
    assert!(matches!(source(&error), ServerError::WrongKind { found: "event", .. }), "{error}");
    assert!(error.to_string().starts_with("`s/event` is an event, wanted an array"), "{error}");
    assert_eq!(server.usage().unwrap().n_items, 2);
    drop(server);
    assert!(event.is_current());
    drop(event);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir(directory).unwrap();
}

/// A file under a server's name that is not on its terms.
fn publish_unserved(directory: &Path, name: &str) -> Published {
    let plan = Plan {
        kind: Kind::Event,
        header: write_header(DType::U64, &[1], PAGE_BYTES),
        data_len: 8,
        n_buffers: 0,
        n_columns: 0,
        n_table_words: 0,
    };
    Published::create(&Options::new().directory(directory), &name.parse().unwrap(), &plan, |_| Ok(()))
        .unwrap()
}

#[test]
fn who_waits_is_told_of_versions_swaps_and_removals() {
    use ndarray::{Ix1, array};
    let directory = scratch_directory("server-wait");
    let server = DataServer::builder("s").directory(&directory).start().unwrap();
    server.put("x", &array![1.0]).unwrap();
    let wait = |seen| {
        let client = server.client().clone();
        std::thread::spawn(move || client.array::<f64, Ix1>("x").unwrap().wait(seen, None))
    };
    assert_eq!(wait(0).join().unwrap(), Change::Newer(1));
    let waiter = wait(1);
    server.put("x", &array![2.0]).unwrap();
    assert_eq!(waiter.join().unwrap(), Change::Newer(2));
    let x = server.array::<f64, Ix1>("x").unwrap();
    server.put("x", &array![2.0, 3.0]).unwrap();
    assert_eq!(x.wait(2, None), Change::Replaced);
    server.remove("x").unwrap();
    assert_eq!(x.wait(2, None), Change::Removed);
    assert_eq!(x.wait(1, None), Change::Newer(2));
    drop(server);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn frames_are_created_found_by_their_schema_and_replaced() {
    use crate::shared::Schema;
    let directory = scratch_directory("server-frames");
    let server = DataServer::builder("s").directory(&directory).max_items(1).start().unwrap();
    let schema = Schema::new(4).column::<f64>("price").column::<u32>("volume");
    let frame = server.create_frame("f", &schema).unwrap();
    assert!(server.create_frame("f", &schema).is_err() && server.create_frame("g", &schema).is_err());
    frame.write(|frame| frame.column_mut::<f64>("price").map(|mut price| price.fill(2.0))).unwrap();
    let found = server.frame_of("f", &schema).unwrap();
    assert_eq!(found.read(|snapshot| Ok(snapshot.column::<f64>("price")?.sum())).unwrap(), 8.0);
    let other = Schema::matrix::<i16>(2, 3);
    assert_eq!(server.frame_of("f", &other).unwrap_err().kind(), ErrorKind::Npy);
    assert!(matches!(
        source(&server.any_array("f").unwrap_err()),
        ServerError::WrongKind { found: "frame", .. }
    ));
    let info = server.info("f").unwrap();
    assert_eq!((info.shape, info.schema.as_ref(), info.file.version), (vec![4, 2], Some(&schema), 2));
    // It is being written by a handle that stays.
    assert!(matches!(source(&server.replace_frame("f", &other).unwrap_err()), ServerError::Busy { .. }));
    frame.stop_writing().unwrap();
    server.replace_frame("f", &other).unwrap();
    assert_eq!((found.state(), server.frame_of("f", &other).unwrap().version()), (State::Replaced, 1));
    assert!(server.put("f", &ndarray::array![1]).is_ok());
    assert!(matches!(
        source(&server.frame("f").unwrap_err()),
        ServerError::WrongKind { wanted: "frame", .. }
    ));
    drop(server);
    fs::remove_dir(directory).unwrap();
}

#[test]
fn files_are_loaded_whatever_their_type() {
    use crate::ops::dynamic::AnyValue;
    let directory = scratch_directory("server-load");
    let path = directory.join("x.npy");
    for value in [
        AnyValue::from(
            ndarray::Array::from_shape_fn((300, 401), |(i, j)| i as f64 - j as f64 / 7.0).into_dyn(),
        ),
        ndarray::array![[true, false]].into_dyn().into(),
        ndarray::ArrayD::<u8>::zeros(vec![0, 3]).into(),
        ndarray::arr0(5_i64).into_dyn().into(),
    ] {
        value.save_npy(&path).unwrap();
        assert!(AnyValue::load_npy(&path).unwrap().same_bits(&value));
    }
    let mut bytes = fs::read(&path).unwrap();
    bytes.pop();
    fs::write(&path, bytes).unwrap();
    assert_eq!(AnyValue::load_npy(&path).unwrap_err().kind(), ErrorKind::Npy);
    fs::remove_dir_all(directory).unwrap();
}
