//! The files under test, exactly as the product compiles them.

#[path = "../../../pool/src/shared/bell.rs"]
pub(crate) mod bell;
#[path = "../../../pool/src/shared/lock.rs"]
pub(crate) mod lock;
#[path = "../../../pool/src/shared/signal.rs"]
pub(crate) mod signal;
#[path = "../../../pool/src/shared/versions.rs"]
pub(crate) mod versions;
