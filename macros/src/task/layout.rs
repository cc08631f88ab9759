//! A task's signature as text, by which two builds are compared.
//!
//! `fn f(a: f64, #[whole] c: ArrayView2<'_, f64>, block: &Block, #[out] y: &mut ArrayRef1<u8>) -> Sum<f64>`
//! becomes `(f64, whole f64[2], out u8[1]) -> Sum<f64>`: what travels, in its order, without names, spaces
//! and lifetimes. The types are the words of the source, so that a type whose definition changed is not
//! noticed here.

use super::param::{Access, Array, Kind, Rank, Source};
use super::signature::TaskSignature;
use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of a whole signature.
pub fn of_signature(signature: &TaskSignature) -> String {
    let params: Vec<String> = signature.params.iter().filter_map(|param| of_kind(&param.kind)).collect();
    format!("({}) -> {}", params.join(", "), text(signature.output.to_token_stream()))
}

fn of_kind(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Block => None,
        Kind::Value(ty) => Some(text(ty.to_token_stream())),
        Kind::Borrowed(ty) => Some(format!("&{}", text(ty.to_token_stream()))),
        Kind::Array(array) => Some(of_array(array)),
    }
}

fn of_array(array: &Array) -> String {
    let access = match array.access {
        Access::Rows => "rows",
        Access::Whole => "whole",
        Access::Staged => "staged",
        Access::Out => "out",
    };
    match &array.source {
        Source::Alias(ty) => format!("{access} {}", text(ty.to_token_stream())),
        Source::Named { elem, rank } => {
            let rank = match rank {
                Rank::Fixed(n) => n.to_string(),
                Rank::Any => "*".to_owned(),
                Rank::Type(ty) => text(ty.to_token_stream()),
            };
            format!("{access} {}[{rank}]", text(elem.to_token_stream()))
        }
    }
}

/// The tokens without spaces, except between two words, and without lifetimes.
fn text(tokens: TokenStream) -> String {
    let mut text = String::new();
    write(tokens, false, &mut text);
    text
}

/// The tokens as a user would write them.
pub fn source_text(tokens: TokenStream) -> String {
    let mut text = String::new();
    write(tokens, true, &mut text);
    text
}

fn write(tokens: TokenStream, lifetimes: bool, text: &mut String) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '\'' && !lifetimes => {
                tokens.next();
                tokens.next_if(|next| matches!(next, TokenTree::Punct(comma) if comma.as_char() == ','));
            }
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                if punct.spacing() == Spacing::Alone && matches!(punct.as_char(), ',' | ';') {
                    text.push(' ');
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                if text.ends_with("mut") {
                    text.push(' ');
                }
                text.push_str(open);
                write(group.stream(), lifetimes, text);
                text.push_str(close);
            }
            word => {
                if text.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn text_is_compact() {
        assert_eq!(text(quote!(Cow<'static, [f64; N]>)), "Cow<[f64; N]>");
        assert_eq!(text(quote!((Sum<f64>, Option<Box<dyn Event>>))), "(Sum<f64>, Option<Box<dyn Event>>)");
        assert_eq!(text(quote!(ArrayView1<'_, f64>)), "ArrayView1<f64>");
        assert_eq!(source_text(quote!(&'a mut ArrayView1<'_, f64>)), "&'a mut ArrayView1<'_, f64>");
    }

    #[test]
    fn a_signature_lists_what_travels() {
        let function = syn::parse_quote! {
            fn f(
                a: f64, #[whole] c: ndarray::ArrayView2<'_, f64>, block: &Block, s: &str, #[flat] x: &[u8],
                y: &mut ArrayRef1<i8>, #[out] z: ArrayViewMut<f32, D>, #[rows] i: Img, v: ArrayViewD<bool>,
            ) -> io::Result<Sum<f64>> {}
        };
        let signature = TaskSignature::of(function).unwrap();
        let wanted = "(f64, whole f64[2], &str, rows u8[*], staged i8[1], out f32[D], rows Img, rows \
                      bool[*]) -> Sum<f64>";
        assert_eq!(of_signature(&signature), wanted);
    }
}
