//! A function, taken apart as far as its signature.
//!
//! The body is never parsed: it goes through as the tokens the user wrote, so that its spans stay and syntax
//! newer than `syn` compiles.

use proc_macro2::{Group, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Result, Signature, Token, Visibility};

/// A function item.
pub struct Function {
    /// Outer attributes.
    pub attrs: Vec<Attribute>,
    /// Its visibility.
    pub vis: Visibility,
    /// Everything from `fn` to the `where` clause.
    pub sig: Signature,
    /// The braces and what stands in them.
    pub body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse::<Signature>()?;
        if input.peek(Token![;]) {
            return Err(Error::new_spanned(&sig.ident, format!("function `{}` has no body", sig.ident)));
        }
        Ok(Self { attrs, vis, sig, body: input.parse()? })
    }
}

impl Function {
    /// Parses an item to which the attribute `macro_name` was applied.
    pub fn from_item(macro_name: &str, item: TokenStream) -> Result<Self> {
        syn::parse2(item).map_err(|error| {
            // Past the `fn` keyword the parser's own message is the better one.
            if !error.to_string().contains("expected `fn`") {
                return error;
            }
            Error::new(error.span(), format!("`#[{macro_name}]` belongs on a function"))
        })
    }

    /// Puts `statement` before the first statement of the body.
    pub fn prepend(&mut self, statement: TokenStream) -> Result<()> {
        let split = |input: ParseStream<'_>| {
            let inner = input.call(Attribute::parse_inner)?;
            Ok((inner, input.parse::<TokenStream>()?))
        };
        let (inner, rest) = split.parse2(self.body.stream())?;
        let mut body = Group::new(self.body.delimiter(), quote!(#(#inner)* #statement #rest));
        body.set_span(self.body.span());
        self.body = body;
        Ok(())
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attrs, vis, sig, body } = self;
        tokens.extend(quote!(#(#attrs)* #vis #sig #body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_goes_behind_inner_attributes() {
        let mut function =
            Function::from_item("main", quote! { fn main() { #![allow(unused)] work() } }).unwrap();
        function.prepend(quote!(init();)).unwrap();
        let wanted = quote! { fn main() { #![allow(unused)] init(); work() } };
        assert_eq!(function.to_token_stream().to_string(), wanted.to_string());
    }

    #[test]
    fn a_body_that_syn_cannot_parse_goes_through() {
        let item = quote! { fn f() { some new syntax => of 2030 } };
        let function = Function::from_item("task", item.clone()).unwrap();
        assert_eq!(function.to_token_stream().to_string(), item.to_string());
    }

    #[test]
    fn other_items_are_refused() {
        for item in [
            quote! { struct S; },
            quote! { pub mod m {} },
            quote! { impl S {} },
            quote! { #[doc = ""] enum E {} },
        ] {
            let error = Function::from_item("task", item).err().unwrap();
            assert_eq!(error.to_string(), "`#[task]` belongs on a function");
        }
        let error = Function::from_item("task", quote! { fn f(); }).err().unwrap();
        assert_eq!(error.to_string(), "function `f` has no body");
    }
}
