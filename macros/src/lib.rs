//! Procedural macros of ndpool: [`macro@task`], [`macro@main`], [`macro@test`] and
//! [`derive(Merge)`](derive@Merge).
//!
//! Depend on `ndpool`, which re-exports all four; this crate is of no use without it.

// The code is laid out in the order in which tokens flow: a `function` is taken apart without looking into its
// body, the macro's own arguments become `options`, and `task`, `entry` or `merge` write the result.

#![expect(
    clippy::large_enum_variant,
    reason = "the model of a signature lives for one expansion; boxes would only hide its shape"
)]

use proc_macro::TokenStream;

/// `#[main]` and `#[test]`: functions that start with `init`.
mod entry;
/// A function, its body kept as it was written.
mod function;
/// `derive(Merge)`.
mod merge;
/// What stands in the parentheses of an attribute.
mod options;
/// `#[task]`.
mod task;

#[doc = include_str!("../docs/task.md")]
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(task::expand(options.into(), item.into()))
}

#[doc = include_str!("../docs/main.md")]
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(entry::expand_main(options.into(), item.into()))
}

#[doc = include_str!("../docs/test.md")]
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(entry::expand_test(options.into(), item.into()))
}

#[doc = include_str!("../docs/merge.md")]
#[proc_macro_derive(Merge, attributes(merge))]
pub fn derive_merge(item: TokenStream) -> TokenStream {
    finish(merge::expand(item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
