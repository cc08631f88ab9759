//! The files under test, exactly as the product compiles them.

#[path = "../../../pool/src/segment/leases.rs"]
pub(crate) mod leases;
