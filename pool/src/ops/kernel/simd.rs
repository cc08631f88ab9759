//! Run-time choice of the instruction set, with the same bits from each.
//!
//! A kernel is plain Rust over fixed numbers of lanes; the compiler turns the lanes into vectors of whatever
//! width the target has. Rust never contracts `a * b + c` into a fused operation and never reorders float
//! arithmetic, so the order of operations, and with it every bit, is the one that the source spells out,
//! whichever target runs it. `tests::targets_agree` of each kernel checks that on the targets at hand.

/// A computation that is compiled once per [`Target`].
///
/// `run`, and every function on its hot path, must be `#[inline(always)]`: code that is not inlined into the
/// target's entry function is compiled for the baseline.
pub trait Kernel {
    /// What the kernel computes.
    type Output;
    /// Computes it.
    fn run(self) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What the crate as a whole is compiled for (SSE2 on x86-64, NEON on aarch64).
    Baseline,
    /// 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Target {
    /// All targets, the widest first.
    pub const ALL: &'static [Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        Self::Baseline,
    ];

    /// Whether this processor has it. The standard library remembers the answer.
    pub fn is_available(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// Runs a kernel compiled for this target.
    ///
    /// # Panics
    /// If the processor does not have it.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "calls to functions of another target feature set are unsafe")
    )]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.is_available(), "this processor lacks {self:?}");
        match self {
            Self::Baseline => kernel.run(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has the features of `avx2`: asserted above.
            Self::Avx2 => unsafe { avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has the features of `avx512`: asserted above.
            Self::Avx512 => unsafe { avx512(kernel) },
        }
    }
}

/// Runs a kernel on the widest target of this processor.
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    let best = Target::ALL.iter().copied().find(|target| target.is_available());
    best.unwrap_or(Target::Baseline).run(kernel)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
