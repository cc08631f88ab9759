//! Who is stopped between two steps, for however long, and goes on when others have come and gone.
//!
//! What the others do meanwhile runs at a kill point of the stopped one's.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use ndarray::{Ix1, array};

use super::catalog::Catalog;
use super::tests::{kill, names, publish, source};
use super::*;
use crate::shared::{Kind, Options, Published, Role};
use crate::sys::kill_point::hook::at;
use crate::testing::scratch_directory;

/// A directory of its own; gone in the end, with nothing in it.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        Self(scratch_directory(test))
    }

    fn builder(&self) -> ServerBuilder {
        DataServer::builder("s").directory(&self.0)
    }

    fn start(&self) -> DataServer {
        self.builder().start().unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn client(&self) -> DataClient {
        DataClient::connect_with(&Options::new().directory(&self.0), "s").unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            let left: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Whether somebody else holds the lock of the catalog that has the name.
fn is_locked(directory: &Path) -> bool {
    let catalog = Catalog::attach(&Options::new().directory(directory), "s").unwrap().unwrap();
    catalog.published().is_taken(Role::Catalog)
}

/// What something that happens at a kill point leaves.
type Slot<T> = Rc<RefCell<Option<T>>>;

/// The same twice: for what happens, and for the test.
fn slot<T>() -> (Slot<T>, Slot<T>) {
    let slot = Rc::new(RefCell::new(None));
    (Rc::clone(&slot), slot)
}

/// A publisher that was stopped as it swaps finds another server when it goes on, with another's item under the name.
#[test]
fn who_was_stopped_in_a_swap_takes_nothing_of_the_next_server_away() {
    let place = Place::new("stop-swap");
    let first = place.start();
    drop(publish(&first, "a", false).unwrap());
    let client = first.client().clone();
    let (put, slot) = slot();
    let (directory, builder) = (place.0.clone(), place.builder());
    let planned = at("server.item.admitted", move || {
        first.end_without_lock();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "what waits alone");
        let second = builder.start().unwrap();
        let theirs = publish(&second, "a", false).unwrap();
        put.replace(Some((second, theirs)));
    });
    let error = publish(&client, "a", true).unwrap_err();
    assert!(matches!(source(&error), ServerError::NoServer { .. }), "{error}");
    let (second, theirs) = slot.take().unwrap();
    assert!(theirs.is_current() && names(&second) == ["a"]);
    drop((planned, second));
}

/// The same, as it creates: what it links is not the next server's, nor does it stay.
#[test]
fn who_was_stopped_before_a_link_links_nothing_under_the_next_server() {
    let place = Place::new("stop-link");
    let first = place.start();
    let client = first.client().clone();
    let (put, slot) = slot();
    let builder = place.builder();
    let planned = at("server.item.admitted", move || {
        first.end_without_lock();
        put.replace(Some(builder.max_items(0).start().unwrap()));
    });
    let error = publish(&client, "a", false).unwrap_err();
    assert!(matches!(source(&error), ServerError::NoServer { .. }), "{error}");
    drop((planned, slot));
}

/// The same, as it removes.
#[test]
fn who_was_stopped_as_he_removes_takes_nothing_of_the_next_server_away() {
    let place = Place::new("stop-remove");
    let first = place.start();
    drop(publish(&first, "a", false).unwrap());
    let client = first.client().clone();
    let (put, slot) = slot();
    let builder = place.builder();
    // Has looked whether the catalog is the one that counts, and then whether there is such an item.
    let planned = at("server.remove.found", move || {
        first.end_without_lock();
        let second = builder.start().unwrap();
        let theirs = publish(&second, "a", false).unwrap();
        put.replace(Some((second, theirs)));
    });
    let error = client.remove("a").unwrap_err();
    assert!(error.to_string().contains("has ended meanwhile"), "{error}");
    let (second, theirs) = slot.take().unwrap();
    assert!(theirs.is_current() && names(&second) == ["a"]);
    drop((planned, second));
}

/// A server whose catalog was removed by hand ends, and is stopped as it removes its items; another one takes them over.
#[test]
fn a_server_that_ends_takes_nothing_away_that_the_next_one_has_taken_over() {
    let place = Place::new("stop-end");
    let first = place.start();
    drop(publish(&first, "a", false).unwrap());
    let (put, slot) = slot();
    let (catalog, builder) = (place.path("ndpool.s"), place.builder());
    let planned = at("server.item.remove", move || {
        fs::remove_file(catalog).unwrap();
        put.replace(Some(builder.start().unwrap()));
    });
    first.close().unwrap();
    let second = slot.take().unwrap();
    assert_eq!((second.recovered(), names(&second)), (&["a".to_owned()][..], vec!["a".to_owned()]));
    drop((planned, second));
}

/// A reaper finds an item without a catalog; a server begins before it is removed.
#[test]
fn what_a_server_takes_over_is_no_orphan_any_more() {
    let place = Place::new("stop-orphan");
    let first = place.start();
    drop(publish(&first, "a", false).unwrap());
    fs::remove_file(place.path("ndpool.s")).unwrap();
    first.kill();
    let (put, slot) = slot();
    let (catalog, builder) = (place.path("ndpool.s"), place.builder());
    let planned = at("shared.name.held", move || {
        let server = thread::spawn(move || builder.start().unwrap());
        // It goes on to look at the items, and waits for the reaper.
        while !catalog.exists() {
            thread::yield_now();
        }
        put.replace(Some(server));
    });
    reap_in(&place.0, false, false).unwrap();
    let second = slot.take().unwrap().join().unwrap();
    assert_eq!((second.recovered(), names(&second)), (&["a".to_owned()][..], vec!["a".to_owned()]));
    drop((planned, second));
}

/// Whoever sees that a server lives finds what the one before has left dealt with: what he publishes is not mistaken for that.
#[test]
fn a_server_that_begins_removes_what_was_there_before_and_nothing_that_was_published_since() {
    let place = Place::new("stop-begin");
    for is_killed in [true, false] {
        if is_killed {
            let first = place.builder().after_kill(AfterKill::Remove).start().unwrap();
            drop(publish(&first, "old", false).unwrap());
            kill(&place.0, first);
        }
        let (put, slot) = slot();
        let directory = place.0.clone();
        let point = if is_killed { "server.taken_over" } else { "shared.create.linked" };
        let planned = at(point, move || {
            let client = DataClient::connect_with(&Options::new().directory(&directory), "s").unwrap();
            assert!(client.is_alive() && is_locked(&directory), "nobody may publish yet");
            put.replace(Some(thread::spawn(move || client.put("new", &array![1.0]))));
        });
        let server = place.builder().after_kill(AfterKill::Remove).start().unwrap();
        slot.take().unwrap().join().unwrap().unwrap();
        assert_eq!((names(&server), server.recovered()), (vec!["new".to_owned()], &[][..]));
        drop((planned, server));
    }
}

/// Two that begin at once: the catalog of the one is removed by hand as it makes another in its place, and the other one has a new one.
#[test]
fn a_server_that_changes_the_mode_takes_the_name_from_its_own_catalog_alone() {
    let place = Place::new("stop-mode");
    let first = place.start();
    kill(&place.0, first);
    let (put, slot) = slot();
    let (catalog, builder) = (place.path("ndpool.s"), place.builder());
    let planned = at("shared.swap.waiting", move || {
        fs::remove_file(catalog).unwrap();
        put.replace(Some(builder.start().unwrap()));
    });
    let error = place.builder().group_read(true).start().unwrap_err();
    assert!(matches!(source(&error), ServerError::Taken { .. }), "{error}");
    let other = slot.take().unwrap();
    assert!(other.is_alive() && place.client().is_alive());
    drop((planned, other));
}

/// A publisher, or whoever removes, waits while a server of another mode takes the name over; or one server ends and another begins.
#[test]
fn who_waits_finds_the_server_that_has_another_catalog() {
    let place = Place::new("stop-waits");
    for (i, is_killed) in [true, false].into_iter().enumerate() {
        for group_read in [true, false] {
            let first = place.builder().group_read(!group_read).start().unwrap();
            let client = first.client().clone();
            client.put("gone", &array![1.0]).unwrap();
            let (put, slot) = slot();
            let (builder, directory) = (place.builder(), place.0.clone());
            let planned = at("shared.create.reserved", move || {
                if is_killed {
                    kill(&directory, first);
                } else {
                    first.close().unwrap();
                }
                put.replace(Some(builder.group_read(group_read).start().unwrap()));
            });
            let put = client.put("x", &array![i as f64]).unwrap();
            assert_eq!(put, Put { version: 1, how: How::Created });
            let second = slot.take().unwrap();
            let info = second.info("x").unwrap();
            assert_eq!(info.file.group_read, group_read);
            assert_eq!(second.array::<f64, Ix1>("x").unwrap().read().unwrap().array, array![i as f64]);
            drop((planned, second));
        }
    }
}

#[test]
fn who_waits_to_remove_finds_the_server_that_has_another_catalog() {
    let place = Place::new("stop-waits-to-remove");
    let first = place.start();
    let client = first.client().clone();
    client.put("x", &array![1.0]).unwrap();
    let (put, slot) = slot();
    let (builder, directory) = (place.builder(), place.0.clone());
    let planned = at("server.remove.begin", move || {
        kill(&directory, first);
        put.replace(Some(builder.group_read(true).start().unwrap()));
    });
    client.remove("x").unwrap();
    let second = slot.take().unwrap();
    assert_eq!((second.recovered(), names(&second)), (&["x".to_owned()][..], vec![]));
    drop((planned, second));
}

/// While one swaps, what he replaces is removed, and something else is made under the name, which he knows nothing of.
#[test]
fn a_swap_replaces_what_it_holds_and_nothing_else() {
    let place = Place::new("stop-swap-other");
    let server = place.start();
    let client = server.client().clone();
    client.put("x", &array![1.0]).unwrap();
    let (put, slot) = slot();
    let other = client.clone();
    let planned = at("shared.swap.waiting", move || {
        other.remove("x").unwrap();
        other.put("x", &array![1_u8, 2]).unwrap();
        let buffer = other.double_buffer::<u8, Ix1>("x").unwrap();
        let writer = buffer.into_inner().writer().unwrap();
        put.replace(Some(writer));
    });
    // The new one has a writer that stays, which would go on to write what nobody finds.
    let error = client.put("x", &array![2.0, 3.0]).unwrap_err();
    assert!(matches!(source(&error), ServerError::Busy { doing: "writes", .. }), "{error}");
    let mut writer = slot.take().unwrap();
    writer.write(|mut frame| frame.fill(7));
    assert_eq!(server.array::<u8, Ix1>("x").unwrap().read().unwrap().array, array![7, 7]);
    drop((planned, writer, server));
}

/// What is only to be updated is not made anew when it was removed meanwhile.
#[test]
fn an_update_makes_nothing_that_was_removed_meanwhile() {
    let place = Place::new("stop-update");
    let server = place.start();
    let client = server.client().clone();
    client.put("x", &array![1.0]).unwrap();
    let other = client.clone();
    let planned = at("shared.swap.waiting", move || other.remove("x").unwrap());
    let error = client.update("x", &array![2.0, 3.0]).unwrap_err();
    assert!(matches!(source(&error), ServerError::NoItem { .. }), "{error}");
    assert!(names(&server).is_empty());
    drop((planned, server));
}

/// A server that cannot begin after all leaves what was there to the next one.
#[test]
fn a_failed_start_removes_nothing() {
    let place = Place::new("stop-failed");
    let first = place.start();
    let item = publish(&first, "a", false).unwrap();
    kill(&place.0, first);
    let catalog = place.path("ndpool.s");
    let planned = at("server.begun", move || fs::remove_file(catalog).unwrap());
    let error = place.builder().start().unwrap_err();
    assert!(matches!(source(&error), ServerError::NoServer { .. }), "{error}");
    assert!(item.is_current() && item.path().exists());
    drop(planned);
    let second = place.start();
    assert_eq!(second.recovered(), ["a"]);
    // Nor does it have that removed later, on terms that never held.
    kill(&place.0, second);
    let (catalog, away) = (place.path("ndpool.s"), place.path("ndpool.away"));
    let paths = (catalog.clone(), away.clone());
    let planned = at("server.begun", move || fs::rename(paths.0, paths.1).unwrap());
    place.builder().after_kill(AfterKill::Remove).start().unwrap_err();
    drop(planned);
    fs::rename(away, catalog).unwrap();
    assert_eq!(list_in(&place.0).unwrap()[0].after_kill, AfterKill::Recover);
    drop(place.start());
    // One that has made its catalog leaves none.
    let catalog = place.path("ndpool.s");
    let planned = at("server.begun", move || fs::rename(&catalog, catalog.with_extension("away")).unwrap());
    place.builder().start().unwrap_err();
    drop(planned);
    fs::remove_file(place.path("ndpool.away")).unwrap();
}

/// Clients of a server whose catalog was removed by hand go over to the next one.
#[test]
fn clients_go_over_to_the_server_that_has_the_name() {
    let place = Place::new("stop-supplanted");
    let first = place.start();
    let client = place.client();
    fs::remove_file(place.path("ndpool.s")).unwrap();
    client.put("a", &array![1.0]).unwrap();
    let second = place.builder().max_items(1).start().unwrap();
    assert_eq!(second.recovered(), ["a"]);
    let error = client.put("b", &array![1.0]).unwrap_err();
    assert!(matches!(source(&error), ServerError::Limit { what: "items", .. }), "{error}");
    first.close().unwrap();
    assert_eq!(names(&client), ["a"]);
    drop(second);
}

/// Somebody else's file under the server's name counts for nothing, and is in nobody's way.
#[test]
fn what_belongs_to_another_user_is_no_item() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !nix::unistd::geteuid().is_root() {
        return crate::testing::skip("only root can make files of other users");
    }
    let place = Place::new("stop-foreign");
    let server = place.builder().max_items(1).start().unwrap();
    drop(publish(&server, "a", false).unwrap());
    let foreign = place.path("ndpool.s.b");
    fs::copy(place.path("ndpool.s.a"), &foreign).unwrap();
    chown(&foreign, Some(54_321), None).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!((names(&server), server.usage().unwrap().n_items), (vec!["a".to_owned()], 1));
    publish(&server, "a", true).unwrap();
    server.close().unwrap();
    assert!(!place.path("ndpool.s.a").exists() && foreign.exists());
    reap_in(&place.0, true, false).unwrap();
    fs::remove_file(foreign).unwrap();
}

/// What has no name any more is nobody's.
#[test]
fn a_published_file_knows_whether_it_has_its_name() {
    let place = Place::new("stop-name");
    let server = place.start();
    let item: Published = publish(&server, "a", false).unwrap();
    assert!(item.has_name());
    fs::remove_file(item.path()).unwrap();
    assert!(item.is_current() && !item.has_name());
    drop(server);
}

/// What cannot be seen for want of descriptors counts, or nothing is published; and it is not left out of what is listed.
#[test]
fn what_cannot_be_looked_at_is_not_left_out_of_limits_and_lists() {
    use crate::shared::LOOKS_FAIL;
    let place = Place::new("stop-unseen");
    let server = place.builder().max_items(1).start().unwrap();
    drop(publish(&server, "a", false).unwrap());
    LOOKS_FAIL.set(Some(libc::EMFILE));
    let errors = [
        publish(&server, "b", false).map(drop).unwrap_err(),
        server.usage().map(drop).unwrap_err(),
        server.items().map(drop).unwrap_err(),
        server.info("a").map(drop).unwrap_err(),
        list_in(&place.0).map(drop).unwrap_err(),
        reap_in(&place.0, true, false).map(drop).unwrap_err(),
    ];
    LOOKS_FAIL.set(None);
    for error in errors {
        assert!(error.to_string().contains("cannot look at"), "{error}");
    }
    assert_eq!(names(&server), ["a"]);
    drop(server);
}

/// Somebody is stopped who is about to take a name away: what cannot be reaped or begun because of that is said, and the rest is reaped.
#[test]
fn one_that_is_stopped_with_a_name_keeps_nobody_else_s_from_being_reaped() {
    let place = Place::new("stop-reap");
    let start = |name: &str| {
        let server = DataServer::builder(name).directory(&place.0).start().unwrap();
        drop(publish(&server, "x", false).unwrap());
        kill(&place.0, server);
    };
    start("a");
    start("b");
    let stopped =
        Published::attach(&Options::new().directory(&place.0), &"a/x".parse().unwrap(), Kind::ALL).unwrap();
    assert!(stopped.try_take(Role::Name).unwrap());
    let error = DataServer::builder("a").directory(&place.0).start().unwrap_err();
    assert!(error.to_string().contains("is it stopped?"), "{error}");
    let error = reap_in(&place.0, true, false).unwrap_err();
    assert!(error.to_string().contains("is it stopped?"), "{error}");
    let left: Vec<String> = list_in(&place.0).unwrap().into_iter().map(|server| server.name).collect();
    assert_eq!(left, ["a"]);
    drop(stopped);
    assert_eq!(reap_in(&place.0, true, false).unwrap().len(), 1);
}
