//! `#[task]`: turns a function into the constructor of a call.
//!
//! ```text
//! tokens ── function ──> Function ── signature ──> TaskSignature { params, output } ── expand ──> tokens
//!                                        │  each parameter: param (its attributes: marks)
//!                                        └─ every refusal is made here, before a token is written
//! ```

/// Which of the user's attributes go to the constructor and which to the function inside it.
mod attrs;
/// Writes the constructor, the function inside it, the marker type and the registration.
mod expand;
/// A task's signature as text, by which two builds are compared.
mod layout;
/// The attributes on parameters: `#[whole]`, `#[out]`, …
mod marks;
/// One parameter: what it means, or why it is refused.
mod param;
/// The whole signature: generics, parameters, result.
mod signature;

pub use expand::expand;
