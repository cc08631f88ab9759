//! Which of the user's attributes go to the constructor and which to the function inside it.
//!
//! | attribute | goes to | because |
//! |---|---|---|
//! | `doc`, `deprecated`, `cfg` | constructor | it is what other code names |
//! | `must_use = "…"` | constructor | it is what other code calls |
//! | `allow`, `expect`, `warn`, `deny`, `forbid` | constructor | levels reach everything inside it, once |
//! | `cfg_attr(…, x)` | where `x` goes | |
//! | all others (`inline`, `track_caller`, `instrument`, …) | function | they are about its code |

use syn::{Attribute, Error, Meta, Result, Token};

/// A task's attributes, sorted.
pub struct Sorted {
    /// On the constructor.
    pub outer: Vec<Attribute>,
    /// On the function inside it.
    pub inner: Vec<Attribute>,
}

/// Sorts the attributes of a task; refuses those that cannot work.
pub fn sort(attrs: Vec<Attribute>) -> Result<Sorted> {
    for attr in &attrs {
        if attr.path().is_ident("target_feature") {
            let message = "a task cannot have `#[target_feature]`: a worker calls it without knowing the \
                           machine\n(hint: test for the feature in the task and call a function that has \
                           the attribute)";
            return Err(Error::new_spanned(attr, message));
        }
    }
    let (outer, inner) = attrs.into_iter().partition(|attr| is_outer(&attr.meta));
    Ok(Sorted { outer, inner })
}

fn is_outer(meta: &Meta) -> bool {
    let Some(name) = meta.path().get_ident().map(ToString::to_string) else { return false };
    match name.as_str() {
        "doc" | "deprecated" | "cfg" | "allow" | "expect" | "warn" | "deny" | "forbid" => true,
        // Without a text it would only repeat that of `Call`.
        "must_use" => !matches!(meta, Meta::Path(_)),
        "cfg_attr" => conditional(meta).is_some_and(|first| is_outer(&first)),
        _ => false,
    }
}

/// The first attribute inside a `cfg_attr`.
fn conditional(meta: &Meta) -> Option<Meta> {
    let list = meta.require_list().ok()?;
    let nested =
        list.parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
    nested.into_iter().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse::Parser;

    fn sorted(tokens: proc_macro2::TokenStream) -> Result<(String, String)> {
        let sorted = sort(Attribute::parse_outer.parse2(tokens).unwrap())?;
        let names = |attrs: &[Attribute]| {
            let names: Vec<_> =
                attrs.iter().map(|attr| attr.path().get_ident().unwrap().to_string()).collect();
            names.join(" ")
        };
        Ok((names(&sorted.outer), names(&sorted.inner)))
    }

    #[test]
    fn attributes_go_where_they_make_sense() {
        let tokens = quote! {
            #[doc = "x"] #[inline(always)] #[deprecated] #[cfg(unix)] #[expect(unused)] #[track_caller]
            #[must_use] #[cold]
        };
        let (outer, inner) = sorted(tokens).unwrap();
        assert_eq!(outer, "doc deprecated cfg expect");
        assert_eq!(inner, "inline track_caller must_use cold");
    }

    #[test]
    fn conditional_attributes_follow_what_they_hold() {
        let (outer, inner) = sorted(quote! {
            #[cfg_attr(docsrs, doc(cfg(unix)))] #[cfg_attr(unix, inline)] #[must_use = "why"]
        })
        .unwrap();
        assert_eq!((outer.as_str(), inner.as_str()), ("cfg_attr must_use", "cfg_attr"));
    }

    #[test]
    fn target_features_are_refused() {
        let error =
            sorted(quote! { #[target_feature(enable = "avx2")] }).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("hint")));
    }
}
