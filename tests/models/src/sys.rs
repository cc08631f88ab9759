//! What `sys::primitive` of the product offers, made of loom's parts.

/// Where the product can be killed, a mortal thread can die.
macro_rules! kill_point {
    ($name:literal) => {
        $crate::mortal::step()
    };
}
pub(crate) use kill_point;

/// Atomics and the futex, with the names and the promises of the product's module.
pub(crate) mod primitive {
    use loom::sync::atomic;
    use std::sync::LockResult;
    use std::time::Duration;

    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::fence;
    pub(crate) use std::sync::atomic::Ordering;

    /// Has loom try every order of the accesses to one word.
    ///
    /// Its search remembers the last access to an object alone. If one thread loads, another loads too and then stores, the
    /// first load is forgotten by then, and *store before load* is never tried. Counting is a change, and is not forgotten.
    /// The count is relaxed: it orders nothing.
    struct Turns(atomic::AtomicU32);

    impl Turns {
        fn new() -> Self {
            Self(atomic::AtomicU32::new(0))
        }

        fn take(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A word of a ledger, or of a control page.
    pub(crate) struct AtomicU64 {
        turns: Turns,
        word: atomic::AtomicU64,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self { turns: Turns::new(), word: atomic::AtomicU64::new(value) }
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.access(order, |order| self.word.load(order))
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.access(order, |order| self.word.store(value, order));
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.access(success, |success| self.word.compare_exchange(current, new, success, failure))
        }

        fn access<R>(&self, order: Ordering, access: impl FnOnce(Ordering) -> R) -> R {
            self.turns.take();
            if order != Ordering::SeqCst {
                return access(order);
            }
            fenced(access)
        }
    }

    /// Loom takes a sequentially consistent access for one that acquires and releases, and would report failures that are none, such as
    /// wake-ups lost. Such accesses stand between two fences here, which loom does know; the weaker ones are loom's own.
    fn fenced<R>(access: impl FnOnce(Ordering) -> R) -> R {
        fence(Ordering::SeqCst);
        let result = access(Ordering::SeqCst);
        fence(Ordering::SeqCst);
        result
    }

    /// A count, with the orderings that it is used with: no sequentially consistent ones.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicUsize(atomic::AtomicUsize);

    impl AtomicUsize {
        pub(crate) fn load(&self, order: Ordering) -> usize {
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: usize, order: Ordering) {
            self.0.store(value, order);
        }
    }

    /// A mutex as the standard library has it.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self(loom::sync::Mutex::new(T::default()))
        }
    }

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            self.0.lock()
        }
    }

    /// A condition variable as the standard library has it, without wake-ups for no reason.
    #[derive(Debug)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Default for Condvar {
        fn default() -> Self {
            Self(loom::sync::Condvar::new())
        }
    }

    impl Condvar {
        pub(crate) fn wait_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            mut condition: impl FnMut(&mut T) -> bool,
        ) -> LockResult<MutexGuard<'a, T>> {
            while condition(&mut guard) {
                guard = self.0.wait(guard)?;
            }
            Ok(guard)
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    /// A word on which threads can sleep.
    pub(crate) struct AtomicU32 {
        turns: Turns,
        word: atomic::AtomicU32,
        /// What the kernel keeps: how many sleep. Its lock is that of the futex's queue.
        queue: loom::sync::Mutex<u32>,
        woken: loom::sync::Condvar,
    }

    impl AtomicU32 {
        pub(crate) fn new(value: u32) -> Self {
            Self {
                turns: Turns::new(),
                word: atomic::AtomicU32::new(value),
                queue: loom::sync::Mutex::new(0),
                woken: loom::sync::Condvar::new(),
            }
        }

        fn access<R>(&self, order: Ordering, access: impl FnOnce(Ordering) -> R) -> R {
            self.turns.take();
            if order != Ordering::SeqCst {
                return access(order);
            }
            fenced(access)
        }

        pub(crate) fn load(&self, order: Ordering) -> u32 {
            self.access(order, |order| self.word.load(order))
        }

        pub(crate) fn store(&self, value: u32, order: Ordering) {
            self.access(order, |order| self.word.store(value, order));
        }

        pub(crate) fn swap(&self, value: u32, order: Ordering) -> u32 {
            self.access(order, |order| self.word.swap(value, order))
        }

        pub(crate) fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
            self.access(order, |order| self.word.fetch_add(value, order))
        }

        pub(crate) fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
            self.access(order, |order| self.word.fetch_sub(value, order))
        }

        pub(crate) fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
            self.access(order, |order| self.word.fetch_and(value, order))
        }

        pub(crate) fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
            self.access(order, |order| self.word.fetch_or(value, order))
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            self.access(success, |success| self.word.compare_exchange(current, new, success, failure))
        }
    }

    /// Sleeps until woken, unless the word no longer has the value. There is no time in a model: a timeout would hide a
    /// wake-up that was lost, so it never passes.
    pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
        let mut n_asleep = word.queue.lock().unwrap();
        // The kernel looks at the word behind a full barrier, with the queue locked.
        if word.load(Ordering::SeqCst) != expected {
            return;
        }
        *n_asleep += 1;
        drop(word.woken.wait(n_asleep).unwrap());
    }

    /// Wakes up to `n` sleepers and returns how many there were.
    pub(crate) fn futex_wake(word: &AtomicU32, n: u32) -> u32 {
        crate::mortal::step();
        let mut n_asleep = word.queue.lock().unwrap();
        let n_woken = n.min(*n_asleep);
        // Who is woken is no sleeper any more, though it may be a while until it runs.
        *n_asleep -= n_woken;
        if *n_asleep == 0 {
            word.woken.notify_all();
        } else {
            for _ in 0..n_woken {
                word.woken.notify_one();
            }
        }
        n_woken
    }
}
