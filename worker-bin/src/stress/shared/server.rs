//! The process that serves.

use std::time::Duration;

use ndpool::ErrorKind;
use ndpool::server::{AfterKill, DataServer};
use ndpool::shared::Event;

use super::super::chance::Chance;
use super::tally::Desk;
use crate::args::SharedActorArgs;

/// Serves until told to stop; now and then it ends and begins again by itself.
pub fn run(args: &SharedActorArgs, desk: &Desk, stop: &Event) -> ndpool::Result<()> {
    let mut chance = Chance::new(args.seed, &[10, args.start]);
    while !stop.is_set() {
        let builder = DataServer::builder(&args.name)
            .max_items(8)
            .max_bytes(48 << 20)
            .group_read(chance.one_in(4))
            .after_kill(if chance.one_in(3) { AfterKill::Remove } else { AfterKill::Recover })
            .handle_signals(true);
        let server = match builder.start() {
            Ok(server) => server,
            // Somebody was stopped who holds the catalog.
            Err(error) if error.kind() == ErrorKind::Busy => {
                desk.count("server waited for somebody who was stopped");
                desk.flush();
                continue;
            }
            Err(error) => return Err(error),
        };
        desk.count("server began");
        desk.count_many("items taken over", server.recovered().len() as u64);
        loop {
            desk.flush();
            if stop.wait_timeout(Duration::from_millis(150)) || chance.one_in(60) {
                break;
            }
        }
        server.close()?;
        desk.count("server ended in peace");
    }
    Ok(())
}
