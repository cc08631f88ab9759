//! Tests and examples of ndpool; this library is empty.
