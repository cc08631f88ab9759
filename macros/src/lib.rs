//! Procedural macros of ndpool.
