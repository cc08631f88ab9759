//! The files under test, exactly as the product compiles them.

#[path = "../../../pool/src/shared/lock.rs"]
pub(crate) mod lock;
#[path = "../../../pool/src/shared/signal.rs"]
pub(crate) mod signal;
