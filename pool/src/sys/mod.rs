//! The operating system: system calls, mappings, and views on them. Outside of this module `unsafe` is denied, but for
//! exceptions that each name their reason.
//!
//! The modules above are written against the functions of this one. It offers mechanisms and takes no decisions: which name a
//! file gets, who may write where and when, and what a failure means to the user are the business of `segment`, `array` and
//! the rest. Another platform is another set of these files.
//!
//! | file | concept |
//! |---|---|
//! | `primitive` | atomics and the futex; the module that a model checker replaces |
//! | `map` | shared mappings of files, copied from and to by raw pointers |
//! | `view` | typed `ndarray` views on mapped memory |
//! | `shm` | files without a name, their space, and their publication under a name |
//! | `space` | how much room there is: file system, control groups, resource limits |
//! | `lock` | the kernel lock that says a process is alive |
//! | `fork` | what a child made by `fork` must not inherit |
//! | `exit` | what happens when the process ends by itself |
//! | `host` | random numbers and the identity of machine, boot and process |
//! | `cells` | structs of atomics in shared mappings |
//! | `shelf` | boxes whose memory is there already |
//! | `prefetch` | hints to the caches |
//! | `image` | places in the program that mean the same in every process of it |
//! | `process` | watching, signalling and waiting for processes |
//! | `memory` | how much memory a process has to itself |
//! | `signal` | which signal is to end the program |
//! | `crash` | the signal that ends a worker: what the kernel tells of it |
//! | `oom` | whether the kernel killed for want of memory |
//! | `clock` | the clocks, in nanoseconds |
//! | `kill_point` | named places at which a test may have a process killed |
//!
//! # Rules
//!
//! - One unsafe operation per block, each with the proof of what the called function asks for.
//! - No reference is ever made to memory that another process may write at that moment: copies go by raw pointers, words go
//!   by atomics, and a typed view is made only by a caller that holds a lease for its range.
//! - In a child made by `fork` every destructor here does nothing: mappings were never inherited (`MADV_DONTFORK`), locks
//!   were closed by the fork handler.
#![allow(unsafe_code, reason = "the module for it; each block is argued")]

pub(crate) mod cells;
pub(crate) mod clock;
pub(crate) mod crash;
pub(crate) mod exit;
pub(crate) mod fork;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod kill_point;
pub(crate) mod lock;
pub(crate) mod map;
pub(crate) mod memory;
pub(crate) mod oom;
/// Hints to the caches.
pub(crate) mod prefetch;
pub(crate) mod primitive;
pub(crate) mod process;
pub(crate) mod shelf;
pub(crate) mod shm;
pub(crate) mod signal;
pub(crate) mod space;
pub(crate) mod stream;
pub(crate) mod view;

pub(crate) use kill_point::kill_point;
