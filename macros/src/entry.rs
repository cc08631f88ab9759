//! `#[main]` and `#[test]`: functions whose first statement lets a worker serve.

use crate::function::Function;
use crate::options::Options;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, Result};

/// Expands `#[ndpool::main]`.
pub fn expand_main(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let krate = Options::of_entry(options)?.krate.at(Span::mixed_site());
    let mut function = Function::from_item("ndpool::main", item)?;
    if let Some(asyncness) = &function.sig.asyncness {
        return Err(Error::new_spanned(
            asyncness,
            "`#[ndpool::main]` cannot be applied to an `async` function: workers are served before an async \
             runtime is built\n(hint: put the runtime's attribute, such as `#[tokio::main]`, above \
             `#[ndpool::main]`, or call `ndpool::init()` first in a plain `main` that builds the runtime)",
        ));
    }
    refuse_arguments(&function, "ndpool::main")?;
    function.prepend(quote_spanned!(Span::mixed_site()=> #krate::init();))?;
    Ok(function.into_token_stream())
}

/// Expands `#[ndpool::test]`.
pub fn expand_test(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let krate = Options::of_entry(options)?.krate.at(Span::mixed_site());
    let mut function = Function::from_item("ndpool::test", item)?;
    if let Some(asyncness) = &function.sig.asyncness {
        return Err(Error::new_spanned(
            asyncness,
            "`#[ndpool::test]` cannot be applied to an `async` function\n(hint: make it a plain function \
             and build the async runtime inside; a `Job` is a `Future`, and `Job::join` waits without a \
             runtime)",
        ));
    }
    if let Some(attr) = function.attrs.iter().find(|attr| attr.path().is_ident("test")) {
        return Err(Error::new_spanned(
            attr,
            "`#[ndpool::test]` already makes a test: remove this `#[test]`",
        ));
    }
    refuse_arguments(&function, "ndpool::test")?;
    let name = function.sig.ident.to_string();
    function.prepend(quote_spanned! {Span::mixed_site()=>
        #krate::__private::init_in_test(::core::concat!(::core::module_path!(), "::", #name));
    })?;
    Ok(quote!(#[::core::prelude::v1::test] #function))
}

fn refuse_arguments(function: &Function, attribute: &str) -> Result<()> {
    if !function.sig.inputs.is_empty() {
        let message = format!("a function under `#[{attribute}]` takes no arguments");
        return Err(Error::new_spanned(&function.sig.inputs, message));
    }
    if !function.sig.generics.params.is_empty() {
        let message = format!("a function under `#[{attribute}]` is not generic");
        return Err(Error::new_spanned(&function.sig.generics, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_starts_with_init() {
        let expanded = expand_main(quote!(), quote! { fn main() -> Result<(), E> { work() } }).unwrap();
        let wanted = quote! { fn main() -> Result<(), E> { ::ndpool::init(); work() } };
        assert_eq!(expanded.to_string(), wanted.to_string());
    }

    #[test]
    fn test_keeps_its_attributes_and_knows_its_path() {
        let item = quote! { #[should_panic(expected = "x")] #[cfg(unix)] fn t() { work() } };
        let expanded = expand_test(quote!(crate = pool), item).unwrap();
        let wanted = quote! {
            #[::core::prelude::v1::test]
            #[should_panic(expected = "x")]
            #[cfg(unix)]
            fn t() {
                pool::__private::init_in_test(::core::concat!(::core::module_path!(), "::", "t"));
                work()
            }
        };
        assert_eq!(expanded.to_string(), wanted.to_string());
    }

    #[test]
    fn refusals() {
        let refused = |expanded: Result<TokenStream>| expanded.expect_err("must be refused").to_string();
        assert!(refused(expand_main(quote!(), quote! { async fn main() {} })).contains("hint"));
        assert!(refused(expand_test(quote!(), quote! { async fn t() {} })).contains("hint"));
        assert!(refused(expand_main(quote!(), quote! { fn main(x: u8) {} })).contains("no arguments"));
        assert!(refused(expand_test(quote!(), quote! { fn t(x: u8) {} })).contains("no arguments"));
        assert!(refused(expand_test(quote!(), quote! { fn t<T>() {} })).contains("not generic"));
        assert!(refused(expand_test(quote!(), quote! { #[test] fn t() {} })).contains("remove"));
        assert!(
            refused(expand_main(quote!(threads = 4), quote! { fn main() {} })).contains("unknown option")
        );
        assert!(refused(expand_main(quote!(), quote! { struct Main; })).contains("belongs on a function"));
    }
}
