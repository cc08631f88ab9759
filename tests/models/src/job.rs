//! The files under test, exactly as the product compiles them.

#[path = "../../../pool/src/job/doorbell.rs"]
pub(crate) mod doorbell;
#[path = "../../../pool/src/job/ledger.rs"]
pub(crate) mod ledger;
#[path = "../../../pool/src/job/word.rs"]
pub(crate) mod word;
