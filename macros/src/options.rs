//! What stands in the parentheses of an attribute: `#[task(name = "…", crate = path)]`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, LitStr, Path, Result};

/// The options of one attribute.
pub struct Options {
    /// Where ndpool is found.
    pub krate: CratePath,
    /// The task's name, where `name = "…"` gives one.
    pub name: Option<LitStr>,
}

impl Options {
    /// Options of `#[task]`: `name` and `crate`.
    pub fn of_task(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, true)
    }

    /// Options of `#[main]` and `#[test]`: `crate`.
    pub fn of_entry(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, false)
    }

    fn parse(tokens: TokenStream, named: bool) -> Result<Self> {
        let mut krate = None;
        let mut name = None;
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                once(&mut krate, &meta, "crate")
            } else if named && meta.path.is_ident("name") {
                once(&mut name, &meta, "name")
            } else if named {
                Err(meta.error("unknown option; expected `name = \"…\"` or `crate = path`"))
            } else {
                Err(meta.error("unknown option; expected `crate = path` or nothing"))
            }
        });
        parser.parse2(tokens)?;
        if let Some(name) = &name {
            check_name(name)?;
        }
        Ok(Self { krate: CratePath(krate), name })
    }
}

/// Where ndpool is found: `::ndpool`, unless `crate = path` says otherwise.
pub struct CratePath(pub Option<Path>);

impl CratePath {
    /// The path, placed at `span`, so that an error about what it leads to is shown there.
    pub fn at(&self, span: Span) -> TokenStream {
        match &self.0 {
            Some(path) => respan(path.to_token_stream(), span),
            None => quote_spanned!(span=> ::ndpool),
        }
    }
}

/// The tokens where `span` is, with their own meaning.
fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    let place = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    tokens.into_iter().map(place).collect()
}

/// Reads `key = value` into `slot`, which must still be empty.
pub fn once<T: syn::parse::Parse>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, key: &str) -> Result<()> {
    if slot.is_some() {
        return Err(meta.error(format!("`{key}` is given twice")));
    }
    *slot = Some(meta.value()?.parse()?);
    Ok(())
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text.is_empty() {
        return Err(Error::new(name.span(), "a task's name cannot be empty"));
    }
    if text.trim() != text || text.contains(char::is_control) {
        let message = "a task's name neither starts nor ends with a space, and has no control characters";
        return Err(Error::new(name.span(), message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn refusal(tokens: TokenStream) -> String {
        Options::of_task(tokens).err().expect("must be refused").to_string()
    }

    #[test]
    fn defaults_and_overrides() {
        let options = Options::of_task(quote!()).unwrap();
        assert_eq!(options.krate.at(Span::call_site()).to_string(), quote!(::ndpool).to_string());
        assert!(options.name.is_none());
        let options = Options::of_task(quote!(name = "saxpy/v2", crate = crate::inner)).unwrap();
        assert_eq!(options.krate.at(Span::call_site()).to_string(), quote!(crate::inner).to_string());
        assert_eq!(options.name.unwrap().value(), "saxpy/v2");
    }

    #[test]
    fn refusals() {
        assert_eq!(refusal(quote!(name = "")), "a task's name cannot be empty");
        assert!(refusal(quote!(name = " x")).contains("neither starts nor ends"));
        assert!(refusal(quote!(name = "a\nb")).contains("control characters"));
        assert_eq!(refusal(quote!(name = "a", name = "b")), "`name` is given twice");
        assert!(refusal(quote!(nmae = "a")).starts_with("unknown option"));
        assert!(Options::of_entry(quote!(name = "a")).is_err());
    }
}
