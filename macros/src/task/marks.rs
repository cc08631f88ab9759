//! The attributes on parameters: `#[rows]`, `#[rows_mut]`, `#[whole]`, `#[flat]`, `#[out]`.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Meta, Result};

/// The marks on one parameter, each with the place to complain about.
#[derive(Default, Clone, Copy)]
pub struct Marks {
    /// `#[rows]`: an alias of a view, read.
    pub rows: Option<Span>,
    /// `#[rows_mut]`: an alias of a mutable view, staged.
    pub rows_mut: Option<Span>,
    /// `#[whole]`: all of the array in every block.
    pub whole: Option<Span>,
    /// `#[flat]`: the block as one slice.
    pub flat: Option<Span>,
    /// `#[out]`: written in full without being read.
    pub out: Option<Span>,
}

impl Marks {
    /// Takes the marks out of a parameter's attributes and refuses what is unknown or contradicts itself.
    pub fn take(attrs: &mut Vec<Attribute>) -> Result<Self> {
        let mut marks = Self::default();
        let mut kept = Vec::new();
        for attr in attrs.drain(..) {
            match marks.slot(&attr) {
                Some(slot) => set(slot, &attr)?,
                None => {
                    check_other(&attr)?;
                    kept.push(attr);
                }
            }
        }
        *attrs = kept;
        marks.check_pairs()?;
        Ok(marks)
    }

    fn slot(&mut self, attr: &Attribute) -> Option<&mut Option<Span>> {
        let name = attr.path().get_ident()?.to_string();
        match name.as_str() {
            "rows" => Some(&mut self.rows),
            "rows_mut" => Some(&mut self.rows_mut),
            "whole" => Some(&mut self.whole),
            "flat" => Some(&mut self.flat),
            "out" => Some(&mut self.out),
            _ => None,
        }
    }

    fn check_pairs(&self) -> Result<()> {
        let access =
            [("rows", self.rows), ("rows_mut", self.rows_mut), ("whole", self.whole), ("out", self.out)];
        let given: Vec<_> = access.iter().filter_map(|(name, span)| span.map(|span| (name, span))).collect();
        if let [(first, _), (second, span), ..] = given[..] {
            let why = match (*first, *second) {
                ("whole", "out") | ("rows_mut", "whole") => "every block would write all of the array",
                ("rows_mut", "out") => "`#[out]` already says that the array is written",
                ("rows", "whole") => "an array is either split into blocks of rows or seen whole",
                _ => "`#[rows]` reads, and the other one writes",
            };
            let message = format!("`#[{first}]` and `#[{second}]` exclude each other: {why}");
            return Err(Error::new(span, message));
        }
        if let (Some(_), Some(span)) = (self.flat, self.rows.or(self.rows_mut)) {
            let message = "`#[flat]` already splits the array by rows: remove this attribute";
            return Err(Error::new(span, message));
        }
        Ok(())
    }
}

fn set(slot: &mut Option<Span>, attr: &Attribute) -> Result<()> {
    let name = attr.path().get_ident().map(ToString::to_string).unwrap_or_default();
    if !matches!(attr.meta, Meta::Path(_)) {
        return Err(Error::new_spanned(attr, format!("`#[{name}]` takes no arguments")));
    }
    if slot.is_some() {
        return Err(Error::new_spanned(attr, format!("`#[{name}]` is given twice")));
    }
    *slot = Some(attr.path().span());
    Ok(())
}

/// Lets through what rustc and its tools know on a parameter.
fn check_other(attr: &Attribute) -> Result<()> {
    let Some(name) = attr.path().get_ident().map(ToString::to_string) else { return Ok(()) };
    let message = match name.as_str() {
        "allow" | "expect" | "warn" | "deny" | "forbid" => return Ok(()),
        "cfg" | "cfg_attr" => {
            "a parameter of a task cannot be conditional: the same call must fit every build\n(hint: \
                               write two tasks and put `#[cfg]` on them)"
                .to_owned()
        }
        "doc" => {
            "a parameter cannot be documented on its own: describe it in the docs of the task".to_owned()
        }
        _ => format!(
            "`#[{name}]` means nothing on a parameter of a task; expected `#[whole]`, `#[out]`, `#[flat]`, \
             `#[rows]` or `#[rows_mut]`"
        ),
    };
    Err(Error::new_spanned(attr, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse::Parser;

    fn marks(tokens: proc_macro2::TokenStream) -> Result<(Marks, usize)> {
        let mut attrs = Attribute::parse_outer.parse2(tokens).unwrap();
        Marks::take(&mut attrs).map(|marks| (marks, attrs.len()))
    }

    #[test]
    fn marks_are_taken_and_lints_are_kept() {
        let (marks, kept) = marks(quote! { #[whole] #[allow(unused)] #[flat] #[clippy::x] }).unwrap();
        assert!(marks.whole.is_some() && marks.flat.is_some() && marks.out.is_none());
        assert_eq!(kept, 2);
    }

    #[test]
    fn every_pair_is_judged() {
        let all = ["rows", "rows_mut", "whole", "flat", "out"];
        let allowed = [("whole", "flat"), ("flat", "out")];
        for (i, first) in all.iter().enumerate() {
            for second in &all[i + 1..] {
                let [a, b] = [first, second].map(|name| quote::format_ident!("{name}"));
                for tokens in [quote! { #[#a] #[#b] }, quote! { #[#b] #[#a] }] {
                    let fits = allowed.contains(&(*first, *second));
                    assert_eq!(marks(tokens).is_ok(), fits, "{first} with {second}");
                }
            }
        }
    }

    #[test]
    fn refusals() {
        let refused = |tokens| marks(tokens).err().expect("must be refused").to_string();
        assert_eq!(refused(quote! { #[out] #[out] }), "`#[out]` is given twice");
        assert_eq!(refused(quote! { #[whole(3)] }), "`#[whole]` takes no arguments");
        assert!(refused(quote! { #[hole] }).starts_with("`#[hole]` means nothing"));
        assert!(refused(quote! { #[cfg(unix)] }).contains("conditional"));
        assert!(refused(quote! { #[doc = "x"] }).contains("docs of the task"));
    }
}
