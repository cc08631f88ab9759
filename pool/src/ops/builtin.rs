//! The list of all built-in tasks, for worker programs that serve calls of other builds by name.

/// Types that [`register_builtin_tasks`](crate::register_builtin_tasks) names.
#[doc(hidden)]
pub mod __tasks {
    pub use num_complex::Complex;

    pub use crate::ops::acc::{Count, Extrema, Norm, Product, Spread, Summary, Total};
    pub use crate::ops::bincount::BincountTask;
    pub use crate::ops::histogram::HistogramTask;
    pub use crate::ops::tasks::{Along, DotTask, Whole};
    pub use crate::ops::unique::UniqueTask;
}

/// Registers every built-in task in the crate that invokes it, and so links every kernel.
///
/// Programs that start workers from their own executable do not need it.
#[doc(hidden)]
#[macro_export]
macro_rules! register_builtin_tasks {
    () => {
        $crate::register_builtin_tasks! {
            @common f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool
            ($crate::ops::__tasks::Complex<f32>) ($crate::ops::__tasks::Complex<f64>)
        }
        $crate::register_builtin_tasks! { @task HistogramTask: f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 }
        $crate::register_builtin_tasks! { @task BincountTask: i8 i16 i32 i64 u8 u16 u32 u64 bool }
    };
    (@common $($t:tt)*) => { $(
        $crate::register_builtin_tasks! { @both Total<$t>, $t }
        $crate::register_builtin_tasks! { @both Product<$t>, $t }
        $crate::register_builtin_tasks! { @both Spread<$t>, $t }
        $crate::register_builtin_tasks! { @both Extrema<$t>, $t }
        $crate::register_builtin_tasks! { @both Count, $t }
        $crate::register_builtin_tasks! { @both Norm, $t }
        $crate::register_builtin_tasks! {
            @one $crate::ops::__tasks::Whole<$crate::ops::__tasks::Summary<$t>, $t>
        }
        $crate::register_builtin_tasks! { @task DotTask: $t }
        $crate::register_builtin_tasks! { @task UniqueTask: $t }
    )* };
    (@both $acc:ident $(<$of:tt>)?, $t:tt) => {
        $crate::register_builtin_tasks! {
            @one $crate::ops::__tasks::Whole<$crate::ops::__tasks::$acc $(<$of>)?, $t>
        }
        $crate::register_builtin_tasks! {
            @one $crate::ops::__tasks::Along<$crate::ops::__tasks::$acc $(<$of>)?, $t>
        }
    };
    (@task $task:ident: $($t:tt)*) => { $(
        $crate::register_builtin_tasks! { @one $crate::ops::__tasks::$task<$t> }
    )* };
    (@one $task:ty) => {
        $crate::__private::inventory::submit! { $crate::__private::Registered::of::<$task>() }
    };
}
