//! The processes that publish and read. Each does everything, some of it more often: so whoever dies is missed by none.

use std::time::{Duration, Instant};

use ndpool::ndarray::{Array, ArrayD, Ix1, Ix2};
use ndpool::ops::dynamic::AnyValue;
use ndpool::server::{Change, DataClient, How, ServerError, State};
use ndpool::shared::{Event, LockError, Mutex, Options, Schema};
use ndpool::{Error, ErrorKind, Result};

use super::super::chance::Chance;
use super::tally::Desk;
use crate::args::SharedActorArgs;

/// Between two lines to the director.
const PULSE: Duration = Duration::from_millis(150);
/// The client that attaches for reading only.
const READER: u64 = 8;
const COLUMNS: [&str; 3] = ["a", "b", "c"];
const FRAME_ROWS: usize = 4000;

struct Client<'c> {
    args: &'c SharedActorArgs,
    desk: &'c Desk,
    stop: &'c Event,
    mutex: &'c Mutex<u64, Ix1>,
    data: DataClient,
    chance: Chance,
    told: Instant,
}

/// Plays a client until told to stop.
pub fn run(args: &SharedActorArgs, desk: &Desk, stop: &Event, mutex: &Mutex<u64, Ix1>) -> Result<()> {
    let chance = Chance::new(args.seed, &[11, args.index, args.start]);
    // Readers who may write can hold what they read; the others copy.
    let options = Options::new().read_only(args.index == READER);
    let data = loop {
        match DataClient::connect_when_there(&options, &args.name, PULSE) {
            Ok(data) => break data,
            Err(error) if stop.is_set() => {
                let _ = error;
                return Ok(());
            }
            Err(error) => note(desk, &error),
        }
        desk.flush();
    };
    let mut client = Client { args, desk, stop, mutex, data, chance, told: Instant::now() };
    while !client.is_over() {
        let Err(error) = client.step() else { continue };
        note(desk, &error);
        // Half of the time those go on who can do without a server.
        if is_no_server(&error) && client.chance.one_in(2) {
            let _ = DataClient::connect_when_there(&options, &args.name, PULSE);
        }
    }
    Ok(())
}

fn is_no_server(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(ServerError::NoServer { .. }))
}

/// Errors that come of the others' doings are counted; any other is wrong.
fn note(desk: &Desk, error: &Error) {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ServerError>());
    let what = match source {
        Some(ServerError::NoServer { .. }) => "refused: no server",
        Some(ServerError::NoItem { .. }) => "refused: no item",
        Some(ServerError::Exists { .. }) => "refused: there is one",
        Some(ServerError::Limit { .. }) => "refused: limit",
        Some(ServerError::Busy { .. }) => "refused: busy",
        Some(
            ServerError::WrongKind { .. } | ServerError::WrongDType { .. } | ServerError::WrongRank { .. },
        ) => "refused: something else by now",
        Some(ServerError::NotYours { .. }) => "refused: read only",
        _ => match error.kind() {
            ErrorKind::Busy => "refused: busy",
            ErrorKind::TooSlow => "a reader was too slow",
            ErrorKind::OutOfSpace => "refused: no space",
            _ => return desk.wrong(&format!("{error:#?}")),
        },
    };
    desk.count(what);
}

impl Client<'_> {
    fn is_over(&mut self) -> bool {
        if self.told.elapsed() >= PULSE {
            self.told = Instant::now();
            self.desk.flush();
        }
        self.stop.is_set()
    }

    fn step(&mut self) -> Result<()> {
        let favourite = self.args.index % 4;
        let deed = match self.args.index {
            READER => self.chance.within(3..9),
            _ if self.chance.one_in(3) => favourite,
            _ => self.chance.within(0..9),
        };
        match deed {
            0 => self.publish(),
            1 => self.write_buffer(),
            2 => self.write_frame(),
            3 | 4 => self.read_array(),
            5 => self.read_buffer(),
            6 => self.read_frame(),
            7 => self.wait(),
            _ => self.add_under_lock(),
        }
    }

    fn item(&mut self) -> &'static str {
        self.chance.pick::<&str>(&["x0", "x1", "x2", "x3", "x4", "x5", "x6"])
    }

    /// An array of any of three types and of any shape, full of one number.
    fn array(&mut self) -> AnyValue {
        let value = self.chance.within(1..250);
        let rows = self.chance.index(1..*self.chance.clone().pick(&[8, 8, 64, 2000]));
        let shape = vec![rows, self.chance.index(1..40)];
        match self.chance.within(0..3) {
            // With a fault to be noticed, most of what there is has it.
            n if n == 0 || self.args.fault => {
                let mut array = ArrayD::from_elem(shape, value as f64);
                if self.args.fault && !self.chance.one_in(4) {
                    array.iter_mut().last().into_iter().for_each(|last| *last += 1.0);
                }
                array.into()
            }
            1 => ArrayD::from_elem(shape, value as u8).into(),
            _ => ArrayD::from_elem(shape, value as i32).into(),
        }
    }

    fn publish(&mut self) -> Result<()> {
        let (item, array) = (self.item(), self.array());
        match self.chance.within(0..10) {
            0 => {
                self.data.remove(item)?;
                self.desk.count("removed");
            }
            1 => {
                self.data.create(item, &array)?;
                self.desk.count("created");
            }
            n => {
                // Several in place, too.
                for _ in 0..n {
                    let how = self.data.put(item, &array)?.how;
                    self.desk.count(match how {
                        How::Created => "created",
                        How::Updated => "updated",
                        _ => "swapped",
                    });
                }
            }
        }
        Ok(())
    }

    fn read_array(&mut self) -> Result<()> {
        let item = self.item();
        let mut array = self.data.any_array(item)?;
        let mut last = 0;
        for _ in 0..self.chance.within(1..200) {
            let (version, value) = array.read()?;
            self.desk.count("arrays read");
            let numbers = value.numbers();
            if numbers.iter().any(|number| *number != numbers[0]) {
                self.desk.wrong(&format!("a mixture in {item}: {:?}", value.shape()));
            }
            if version < last {
                self.desk.wrong(&format!("version {version} of {item} after {last}"));
            }
            last = version;
            let state = array.state();
            if state != State::Current {
                self.desk.count(if state == State::Replaced { "told: replaced" } else { "told: removed" });
                if array.refresh().is_err() {
                    break;
                }
                last = 0;
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let item = self.item();
        if self.chance.one_in(2) {
            let changes = self.data.changes()?;
            let is_change = self.data.wait_changes(changes, Some(PULSE))?.is_some();
            self.desk.count(if is_change { "woken: items changed" } else { "waited in vain" });
            return Ok(());
        }
        let array = self.data.any_array(item)?;
        self.desk.count(match array.wait(array.version(), Some(PULSE)) {
            Change::Newer(_) => "woken: newer version",
            Change::Replaced => "woken: replaced",
            Change::Removed => "woken: removed",
            _ => "waited in vain",
        });
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<()> {
        let found = self.data.double_buffer::<u32, Ix2>("camera");
        let buffer = match found {
            Err(_) => self.data.create_double_buffer("camera", (100, 100))?,
            found => found?,
        };
        let mut writer = buffer.writer()?;
        for _ in 0..self.chance.within(1..300) {
            // Every element says which frame it belongs to.
            let number = writer.number() + 1;
            writer.write(|mut frame| frame.fill(number as u32));
            self.desk.count("buffers written");
            if self.is_over() {
                break;
            }
        }
        if self.chance.one_in(8) {
            self.data.remove("camera")?;
        }
        Ok(())
    }

    fn read_buffer(&mut self) -> Result<()> {
        let mut camera = self.data.array::<u32, Ix2>("camera")?;
        let mut last = 0;
        for _ in 0..self.chance.within(1..300) {
            let is_lent = self.chance.one_in(2);
            let (number, array) = if is_lent {
                let array = camera.read_with(|view| view.to_owned())?;
                (camera.number(), array)
            } else {
                let frame = camera.read()?;
                (frame.number, frame.array)
            };
            self.desk.count(if is_lent { "buffers lent" } else { "buffers copied" });
            if array.iter().any(|element| u64::from(*element) != number) || number < last {
                self.desk.wrong(&format!("frame {number} after {last}: {:?}", array.iter().max()));
            }
            last = number;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn write_frame(&mut self) -> Result<()> {
        let schema = COLUMNS.iter().fold(Schema::new(FRAME_ROWS), |schema, name| schema.column::<u64>(*name));
        let frame = match self.data.frame("ticks") {
            Err(_) => self.data.create_frame("ticks", &schema)?,
            found => found?,
        };
        for _ in 0..self.chance.within(1..100) {
            let leaves_one = self.chance.one_in(2);
            frame.write(|draft| {
                let number = draft.column_mut::<u64>("a")?[0] + 1;
                for name in &COLUMNS[..COLUMNS.len() - usize::from(leaves_one)] {
                    draft.column_mut::<u64>(name)?.fill(number);
                }
                if leaves_one {
                    // Read, changed and written as a whole.
                    draft.column_mut::<u64>("c")?.mapv_inplace(|_| number);
                }
                Ok(())
            })?;
            self.desk.count("frames written");
            if self.is_over() {
                break;
            }
        }
        if self.chance.one_in(8) {
            self.data.remove("ticks")?;
        }
        Ok(())
    }

    fn read_frame(&mut self) -> Result<()> {
        let frame = self.data.frame("ticks")?;
        let mut last = 0;
        for _ in 0..self.chance.within(1..100) {
            let (version, first, is_whole) = frame.read(|snapshot| {
                let first = snapshot.column::<u64>("a")?[0];
                let mut is_whole = true;
                for name in COLUMNS {
                    is_whole &= snapshot.column::<u64>(name)?.iter().all(|element| *element == first);
                }
                Ok((snapshot.version(), first, is_whole))
            })?;
            self.desk.count("frames read");
            // The first version is zeros, and each write adds one.
            if !is_whole || version < last || first + 1 != version {
                self.desk.wrong(&format!(
                    "version {version} after {last} of a frame that says {first}, whole: {is_whole}"
                ));
            }
            last = version;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Adds one to each element of an array, which are all the same.
    fn add_under_lock(&mut self) -> Result<()> {
        let mut guard = match self.mutex.lock_timeout(PULSE) {
            Ok(guard) => guard,
            Err(LockError::Poisoned(mut poisoned)) => {
                self.desk.count("locks taken over from the dead");
                let mut array = poisoned.guard_mut().view_mut();
                let most = array.iter().copied().max().unwrap_or_default();
                array.fill(most);
                poisoned.recover()
            }
            Err(_) => {
                self.desk.count("locks not had in time");
                return Ok(());
            }
        };
        let mut array = guard.view_mut();
        if array.iter().any(|element| *element != array[0]) {
            self.desk.wrong(&format!("under the lock: {:?}", Array::from_iter(array.iter().take(20))));
        }
        array += 1;
        self.desk.count("additions under the lock");
        Ok(())
    }
}
