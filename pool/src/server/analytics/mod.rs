//! Analytics: what is published, in figures, and as metrics.
//!
//! An [`Analytics`] worker looks at everything that a data server publishes, every interval and without copying it, and publishes what it
//! found through the [`metrics`](::metrics) facade. Which recorder is installed, if any, is the program's business: an exporter to Prometheus, to
//! a log, to a test. `ndpool watch --prometheus` is a program that has one.
//!
//! | file | concept |
//! |---|---|
//! | `figures` | count, NaNs, mean, standard deviation, smallest and largest of a view |
//! | `worker` | looking at everything, again and again |
//! | `metrics` | the figures as metrics |
//!
//! # Metrics
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `ndpool_array_mean` | gauge | `server`, `array`, `column` | mean |
//! | `ndpool_array_std` | gauge | same | standard deviation |
//! | `ndpool_array_min` | gauge | same | smallest element |
//! | `ndpool_array_max` | gauge | same | largest element |
//! | `ndpool_array_nans` | gauge | same | number of elements that are NaN |
//! | `ndpool_array_elements` | gauge | same | number of elements |
//! | `ndpool_array_version` | gauge | same | version that was looked at last |
//! | `ndpool_array_age_seconds` | gauge | same | time since that version was written |
//! | `ndpool_server_up` | gauge | `server` | 1 if a server has the name, 0 if none has |
//! | `ndpool_analytics_passes_total` | counter | `server` | looks at everything |
//! | `ndpool_analytics_errors_total` | counter | `server` | items that could not be looked at |
//! | `ndpool_analytics_pass_seconds` | histogram | `server` | time that a look took |
//!
//! The label `column` is there for columns of frames only. Numbers are rounded to `f64`; complex ones have no mean, min and max here. All
//! gauges are set again in every pass, also those that did not change: whoever exports them takes one that is not set any more
//! for removed, after a time of his choice.

mod figures;
mod metrics;
mod worker;

pub use figures::Figures;
pub use metrics::describe_metrics;
pub use worker::{Analytics, Pass, Seen, until_next};

#[cfg(test)]
mod tests;
