//! `derive(Merge)`: a struct merges field by field.

use crate::options::{CratePath, once};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use std::collections::HashSet;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Data, DeriveInput, Error, Fields, Generics, Ident, Path, Result, Type, parse_quote};

/// Expands `#[derive(Merge)]`.
pub fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let krate = crate_of(&input.attrs)?;
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            return Err(Error::new_spanned(
                data.enum_token,
                "`Merge` cannot be derived for an enum: nothing says how two different variants \
                 combine\n(hint: implement `Merge` by hand, or use a struct of `Option`s)",
            ));
        }
        Data::Union(data) => {
            let message = "`Merge` cannot be derived for a union: which field to merge is not known";
            return Err(Error::new_spanned(data.union_token, message));
        }
    };
    for field in fields {
        if let Some(attr) = field.attrs.iter().find(|attr| attr.path().is_ident("merge")) {
            return Err(Error::new_spanned(attr, "`#[merge(…)]` belongs on the struct, not on a field"));
        }
    }
    Ok(implementation(&input, fields, &krate))
}

fn crate_of(attrs: &[Attribute]) -> Result<CratePath> {
    let mut krate = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("merge")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("crate") {
                once(&mut krate, &meta, "crate")
            } else {
                Err(meta.error("unknown option; expected `crate = path`"))
            }
        })?;
    }
    Ok(CratePath(krate))
}

fn implementation(input: &DeriveInput, fields: &Fields, krate: &CratePath) -> TokenStream {
    let name = &input.ident;
    let site = Span::mixed_site();
    let later = Ident::new(if fields.is_empty() { "_later" } else { "later" }, site);
    let merges = fields.members().zip(fields).map(|(member, field)| {
        // The span makes the compiler point at the type that cannot be merged.
        let span = site.located_at(field.ty.span());
        let krate = krate.at(span);
        quote_spanned!(span=> #krate::Merge::merge(&mut self.#member, #later.#member);)
    });
    let generics = with_bounds(&input.generics, fields, krate);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let krate = krate.at(site);
    quote_spanned! {site=>
        #[automatically_derived]
        impl #impl_generics #krate::Merge for #name #type_generics #where_clause {
            fn merge(&mut self, #later: Self) {
                #(#merges)*
            }
        }
    }
}

/// The struct's generics with `Field: Merge` for every field whose type names a type parameter.
///
/// The bound is on the field's type, not on the parameter: `Sum<T>` merges for a `T` that is no `Merge`
/// itself.
fn with_bounds(generics: &Generics, fields: &Fields, krate: &CratePath) -> Generics {
    let mut bounded = generics.clone();
    let params: HashSet<String> = generics.type_params().map(|param| param.ident.to_string()).collect();
    let mut seen = HashSet::new();
    let krate = krate.at(Span::mixed_site());
    for ty in fields.iter().map(|field| &field.ty) {
        if mentions(ty, &params) && seen.insert(ty.to_token_stream().to_string()) {
            bounded.make_where_clause().predicates.push(parse_quote!(#ty: #krate::Merge));
        }
    }
    bounded
}

fn mentions(ty: &Type, params: &HashSet<String>) -> bool {
    struct Search<'a> {
        params: &'a HashSet<String>,
        found: bool,
    }
    impl VisitMut for Search<'_> {
        fn visit_path_mut(&mut self, path: &mut Path) {
            let first = path.segments.first().filter(|_| path.leading_colon.is_none());
            self.found |= first.is_some_and(|segment| self.params.contains(&segment.ident.to_string()));
            visit_mut::visit_path_mut(self, path);
        }
    }
    let mut search = Search { params, found: false };
    search.visit_type_mut(&mut ty.clone());
    search.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn expanded(item: TokenStream) -> String {
        expand(item).unwrap().to_string()
    }

    fn refusal(item: TokenStream) -> String {
        expand(item).expect_err("must be refused").to_string()
    }

    #[test]
    fn fields_merge_in_order() {
        let named = expanded(quote! { struct S { n: Sum<u64>, top: Max<f64> } });
        let wanted = quote! {
            #[automatically_derived]
            impl ::ndpool::Merge for S {
                fn merge(&mut self, later: Self) {
                    ::ndpool::Merge::merge(&mut self.n, later.n);
                    ::ndpool::Merge::merge(&mut self.top, later.top);
                }
            }
        };
        assert_eq!(named, wanted.to_string());
        let tuple = expanded(quote! { struct T(A, B); });
        assert!(tuple.contains("& mut self . 0 , later . 0") && tuple.contains("& mut self . 1 , later . 1"));
        assert!(expanded(quote! { struct U; }).contains("_later : Self"));
    }

    #[test]
    fn bounds_stand_on_field_types_that_name_a_parameter() {
        let text = expanded(quote! {
            struct S<T: Copy, U, const N: usize>
            where
                U: Clone
            {
                a: Sum<T>, b: U, c: Sum<T>, d: Max<f64>, e: [u8; N]
            }
        });
        assert!(
            text.contains("where U : Clone , Sum < T > : :: ndpool :: Merge , U : :: ndpool :: Merge {"),
            "{text}"
        );
    }

    #[test]
    fn the_crate_can_be_named() {
        assert!(
            expanded(quote! { #[merge(crate = crate)] struct S(A); }).contains("impl crate :: Merge for S")
        );
    }

    #[test]
    fn refusals() {
        assert!(refusal(quote! { enum E { A, B } }).contains("two different variants"));
        assert!(refusal(quote! { union U { a: u8 } }).contains("union"));
        assert!(refusal(quote! { struct S { #[merge(skip)] a: A } }).contains("not on a field"));
        assert!(refusal(quote! { #[merge(with = f)] struct S; }).contains("unknown option"));
        assert!(refusal(quote! { #[merge(crate = a, crate = b)] struct S; }).contains("given twice"));
    }
}
