//! Measures ndpool against its peers.
//!
//! One module is one question. Each gives a [`Row`] or several: what ndpool took, what the peer took in the same run, and the
//! goal. A new question is a new module, a new name in [`ROWS`], and a line in the README.

/// On which cores processes may run.
mod affinity;
/// The rows whose peer is a Python program.
mod against_python;
/// Bare programs, which some questions take as the peer.
mod bare;
/// What a job costs by the size of its array.
mod by_size;
/// What a job costs by the number of workers.
mod by_workers;
/// How long an array takes that is copied and summed at once.
mod copied_and_summed;
/// How fast a reduction goes through a large array, beside a program for one processor.
#[cfg(target_arch = "x86_64")]
mod describe_vs_avx512;
/// How long two workers take from nothing to a first result.
mod first_result;
/// What shared frames cost.
mod frames;
/// How long a copy into fresh memory takes.
mod fresh_segment;
/// How long an array takes that a worker has never seen.
mod fresh_worker;
/// What a death costs in the middle of a job.
mod killed_midway;
/// What locks and events cost.
mod locks;
/// Samples taken in turns, and what they say.
mod measure;
/// What a pool and its jobs take of memory.
mod memory;
/// What one of a million calls costs that do nothing.
mod noop_map;
/// What a job costs that does nothing, on workers that sleep.
mod noop_parked;
/// What a job costs that does nothing, on workers that are warm.
mod noop_warm;
/// Python programs that do their work when told to.
mod python;
/// The table and the plots.
mod report;
/// What stands in the table.
mod row;
/// How fast a large array is updated.
mod saxpy;
/// How fast a sum goes through a large array that is shared already.
mod sum_shared;
/// What a million blocks cost that do next to nothing.
mod tiny_blocks;
/// What ndpool is not faster at.
mod when_not;

pub use bare::play_role;
pub use measure::{Bytes, Cost, Pair, Sample};
pub use report::write_report;
pub use row::{Goal, Question, Row, Skipped, Unit};
pub use when_not::WHEN_NOT;

/// All questions, in the order of the table, each with the number of what it belongs to.
pub const ROWS: &[(&str, Question)] = &[
    ("1", sum_shared::QUESTION),
    ("1", against_python::sum_shared::VS_MULTIPROCESSING),
    ("1", against_python::sum_shared::VS_SHARED_MEMORY),
    ("1", against_python::sum_shared::VS_JOBLIB),
    ("1", against_python::sum_shared::VS_RAY),
    ("2", against_python::describe::QUESTION),
    #[cfg(target_arch = "x86_64")]
    ("2", describe_vs_avx512::QUESTION),
    ("3", tiny_blocks::OF_1),
    ("3", tiny_blocks::OF_64),
    ("3", tiny_blocks::OF_1024),
    ("4", noop_map::QUESTION),
    ("4", noop_map::VS_PROCSPAWN),
    ("4", noop_map::VS_IPC_CHANNEL),
    #[cfg(feature = "iceoryx2")]
    ("4", noop_map::VS_ICEORYX),
    ("4", against_python::map_calls::VS_MULTIPROCESSING),
    ("4", against_python::map_calls::VS_EXECUTOR),
    ("4", against_python::map_calls::VS_JOBLIB),
    ("4", against_python::map_calls::VS_MPIRE),
    ("4", against_python::map_calls::VS_RAY),
    ("4", against_python::map_calls::VS_POOL_IN_LISTS),
    ("4", against_python::map_calls::VS_JOBLIB_BATCHES),
    ("5", noop_warm::QUESTION),
    ("5", noop_warm::BESIDE_RAYON),
    ("5", noop_parked::QUESTION),
    ("6", first_result::QUESTION),
    ("6", first_result::LARGE_PARENT),
    ("7", fresh_worker::COPIED_IN),
    ("7", fresh_worker::BORN_SHARED),
    ("7", against_python::fresh_worker::VS_QUEUE),
    ("7", against_python::fresh_worker::VS_SHARED_MEMORY),
    ("7", against_python::fresh_worker::BORN_SHARED),
    ("8", copied_and_summed::QUESTION),
    ("8", copied_and_summed::KEPT),
    ("8", against_python::running_worker::VS_QUEUE),
    ("8", against_python::running_worker::VS_SHARED_MEMORY),
    ("8", against_python::running_worker::VS_JOBLIB),
    ("8", against_python::running_worker::VS_RAY),
    ("9", fresh_segment::QUESTION),
    ("10", killed_midway::QUESTION),
    ("11", saxpy::STAGED),
    ("11", saxpy::OUT),
    ("12", memory::IDLE_POOL),
    ("12", memory::BLOCKS),
    ("12", memory::JOBS),
    ("13", memory::COPIED_IN),
    ("13", memory::IN_PLACE),
    ("14", by_size::MB_1),
    ("14", by_size::MB_3),
    ("14", by_size::MB_10),
    ("14", by_size::MB_30),
    ("14", by_size::MB_100),
    ("14", by_size::MB_300),
    ("14", by_size::GB_1),
    ("14", by_size::GB_3),
    ("14", by_size::GB_8),
    ("14", by_workers::W_1),
    ("14", by_workers::W_2),
    ("14", by_workers::W_4),
    ("14", by_workers::W_8),
    ("14", by_workers::W_16),
    ("14", by_workers::W_32),
    ("14", by_workers::W_64),
    ("14", by_workers::ONE_OF_64),
    ("15", frames::publish::QUESTION),
    #[cfg(feature = "iceoryx2")]
    ("15", frames::publish::VS_ICEORYX),
    ("15", frames::publish::VS_SHARED_MEMORY),
    ("16", frames::snapshot::FRESH),
    ("16", frames::snapshot::KEPT),
    ("16", frames::snapshot::LENT),
    ("17", frames::small::READ),
    ("17", frames::small::WRITE),
    ("18", locks::LOCK),
    ("18", locks::VS_ROBUST),
    ("19", locks::EVENT),
];
