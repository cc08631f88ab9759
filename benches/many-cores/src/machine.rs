/// A machine: nodes of equal size, one worker pinned to each core, and what things cost on it in nanoseconds.
///
/// The defaults of [`Costs`] are measured on one socket (README.md says where), but for those that cross sockets, which are assumed.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// NUMA nodes.
    pub n_nodes: usize,
    /// Workers, and cores for them.
    pub n_workers: usize,
    /// How workers are numbered.
    pub numbering: Numbering,
    /// What things cost.
    pub costs: Costs,
}

/// Which node the core of the next worker is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// The same one until it is full.
    NodeByNode,
    /// The next one, as some firmware numbers cores.
    Alternating,
}

/// What things cost, in nanoseconds and bytes.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// An access to a line that the core has already.
    pub line_own: u64,
    /// A line from another core of the node.
    pub line_near: u64,
    /// A line from another node.
    pub line_far: u64,
    /// A futex wake, to who calls it.
    pub wake_call: u64,
    /// From that call until the sleeper runs.
    pub wake_latency: u64,
    /// A claim of a word whose line the worker has: swap, descriptor, commit.
    pub claim: u64,
    /// Bytes that a core reads in a microsecond from its own node, and from another one.
    pub core_bytes: [u64; 2],
    /// Bytes that a node's memory gives in a microsecond.
    pub node_bytes: u64,
    /// Bytes that cross between two nodes in a microsecond, in one direction.
    pub link_bytes: u64,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            line_own: 1,
            line_near: 70,
            line_far: 200,
            wake_call: 2_000,
            wake_latency: 31_000,
            claim: 9,
            core_bytes: [12_000, 7_000],
            node_bytes: 250_000,
            link_bytes: 60_000,
        }
    }
}

impl Machine {
    /// Workers numbered node by node, with the default costs.
    pub fn new(n_nodes: usize, n_workers: usize) -> Self {
        Self { n_nodes, n_workers, numbering: Numbering::NodeByNode, costs: Costs::default() }
    }

    /// The node of a worker's core.
    pub fn node_of(&self, worker: usize) -> usize {
        match self.numbering {
            Numbering::NodeByNode => worker * self.n_nodes / self.n_workers,
            Numbering::Alternating => worker % self.n_nodes,
        }
    }

    /// What it costs a core of one node to get a line that a core of another wrote last.
    pub fn line_between(&self, from: usize, to: usize) -> u64 {
        if from == to { self.costs.line_near } else { self.costs.line_far }
    }
}

/// A cache line that many cores write: it goes from one to the next, and whoever comes meanwhile waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// Who wrote it last, and its node.
    last: Option<(usize, usize)>,
    is_free_at: u64,
}

impl Line {
    /// Has `who` on a node write at `now`, and returns when it has. Calls come in the order of time.
    pub fn write(&mut self, machine: &Machine, who: usize, node: usize, now: u64) -> u64 {
        let cost = match self.last {
            Some((last, _)) if last == who => machine.costs.line_own,
            Some((_, from)) => machine.line_between(from, node),
            None => machine.costs.line_near,
        };
        self.last = Some((who, node));
        self.is_free_at = now.max(self.is_free_at) + cost;
        self.is_free_at
    }
}
