//! Goal: the code in docs/python.md reads what ndpool publishes, whole, while it is written.
//!
//! Method: the code blocks are taken from the page and run as they stand, by Python with real NumPy, while threads of this process write
//! as fast as they can; each version is full of its own number. Then the page's class is put to the test: whatever `read` gives must
//! be of one version; and a reader that is held up in the middle until the writer has come round must find a mixture, and be told.
//! Without Python or NumPy the test says so and ends; with `NDPOOL_TEST_REQUIRE_NUMPY=1` that is a failure. `NDPOOL_TEST_PYTHON` names
//! another interpreter.

use ndarray::prelude::*;
use ndpool::server::DataServer;
use ndpool::shared::{DoubleBuffer, Options, Schema};
use ndpool_tests::{has_numpy, python, watchdog};
use std::sync::atomic::{AtomicBool, Ordering};

const PAGE: &str = include_str!("../docs/python.md");

/// Runs the blocks: the first one defines the class, and then learns where the test has its files.
const BEFORE: &str = "
import sys
exec(compile(open(sys.argv[2]).read(), 'docs/python.md, first block', 'exec'))
DIRECTORY = sys.argv[1]
exec(compile(open(sys.argv[3]).read(), 'docs/python.md, the others', 'exec'))
";

const CHECKS: &str = "
last = 0
for _ in range(300):
    version, array = close.read()
    assert version >= last and (array == version).all(), (version, array)
    last = version
    version, columns = trades.read()
    assert list(columns) == ['price', 'volume', 'is_buy'], columns
    # Version 1 is the empty frame; the third column is written every other time.
    assert (columns['price'] == version - 1).all() and (columns['volume'] == version - 1).all()
    assert (columns['is_buy'] == (version // 2 % 2 == 1)).all(), (version, columns['is_buy'])
    version, image = camera.read()
    assert image.shape == (48, 64) and (image == version).all(), (version, image)

# Held up in the middle of a copy, until each buffer was written again.
for published, column in [(close, None), (trades, 'price'), (camera, None)]:
    version = published.version
    found = published.find(version, column)
    if found is None:
        continue
    data, token = found
    half = len(data) // 2
    first = np.array(data[:half])
    while published.version < version + 3 * published.n_buffers:
        pass
    second = np.array(data[half:])
    assert first.flat[0] != second.flat[0], 'the writer did not come round'
    assert not published.is_intact(token), 'a mixture passes for whole'
    assert published.is_current()

sys.stdout.flush()
print('replace')
sys.stdout.flush()
sys.stdin.readline()
assert not close.is_current() and camera.is_current()
version, array = close.read()
assert (array == version).all()
close = Published('prices/close')
version, array = close.read()
assert version == 1 and array.tolist() == [1, 2, 3], (version, array)
# Python sees a structure of which it knows only the mapping.
assert not close.buffers.flags.writeable and not close.page.flags.writeable
try:
    Published('prices/nothing')
except FileNotFoundError:
    print('done')
";

/// The Python code of the page, block by block.
fn blocks() -> Vec<&'static str> {
    let fenced = PAGE.split("```python\n").skip(1);
    fenced.map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

/// Writes the page's structures over and over until told to stop.
fn write(server: &DataServer, camera: &DoubleBuffer<u32, Ix2>, stop: &AtomicBool) {
    let trades = server.frame("trades").unwrap();
    let mut writer = camera.writer().unwrap();
    let mut n = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        writer.write(|mut frame| frame.fill(n as u32));
        trades
            .write(|frame| {
                frame.column_out::<f64>("price")?.fill(n as f64);
                frame.column_mut::<u32>("volume")?.fill(n as u32);
                if (n + 1).is_multiple_of(2) {
                    frame.column_out::<bool>("is_buy")?.fill(n.div_ceil(2) % 2 == 1);
                }
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn the_page_reads_what_is_written() {
    let _watchdog = watchdog();
    if !has_numpy() {
        return;
    }
    let directory = std::env::temp_dir().join(format!("ndpool-python-page.{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let blocks = blocks();
    assert!(blocks.len() > 3, "the page has {} blocks", blocks.len());
    let files = ["first.py", "others.py"].map(|name| directory.join(name));
    std::fs::write(&files[0], blocks[0]).unwrap();
    std::fs::write(&files[1], blocks[1..].concat()).unwrap();

    let server = DataServer::builder("prices").directory(&directory).start().unwrap();
    let full = |n: u64| Array2::from_elem((300, 500), n as f64);
    server.put("close", &full(1)).unwrap();
    let schema = Schema::new(2_000).column::<f64>("price").column::<u32>("volume").column::<bool>("is_buy");
    server.create_frame("trades", &schema).unwrap();
    let options = Options::new().directory(&directory);
    let camera = DoubleBuffer::<u32, Ix2>::create_with(&options, "camera", (48, 64)).unwrap();

    let (stop, stop_close) = (AtomicBool::new(false), AtomicBool::new(false));
    let output = std::thread::scope(|scope| {
        scope.spawn(|| write(&server, &camera, &stop));
        let close = scope.spawn(|| {
            let mut n = 1;
            while !stop_close.load(Ordering::Relaxed) {
                n += 1;
                assert_eq!(server.put("close", &full(n)).unwrap().version, n);
            }
        });
        let mut child = python()
            .args(["-c", &format!("{BEFORE}{CHECKS}")])
            .arg(&directory)
            .args(&files)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        while std::io::BufRead::read_line(&mut lines, &mut said).unwrap() > 0 {
            if said.ends_with("replace\n") {
                stop_close.store(true, Ordering::Relaxed);
                break;
            }
        }
        stop_close.store(true, Ordering::Relaxed);
        close.join().unwrap();
        server.put("close", &array![1_i64, 2, 3]).unwrap();
        drop(child.stdin.take());
        std::io::Read::read_to_string(&mut lines, &mut said).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(child.wait().unwrap().success(), "after saying: {said}");
        said
    });
    for word in ["close ", "trades ", "turnover ", "camera ", "missed", "replace\n", "done\n"] {
        assert!(output.contains(word), "no `{word}` in {output}");
    }
    drop((server, camera));
    std::fs::remove_dir_all(directory).unwrap();
}
