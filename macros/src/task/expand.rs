//! Writes the constructor, the function inside it, the marker type and the registration.
//!
//! ```text
//! pub fn saxpy<'call>(                         // the constructor: name, docs and visibility are the user's
//!     a: f64,
//!     x: impl IntoRows<'call, Elem = f64, Dim = Ix1>,
//!     y: impl IntoRowsMut<'call, Elem = f64, Dim = Ix1>,
//! ) -> Call<'call, ()> {
//!     fn saxpy(a: f64, x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>) { … }   // as the user wrote it
//!     struct __Task;                                                          // the task's type
//!     impl Task for __Task { /* run: read the arguments in order, call the function */ }
//!     inventory::submit! { Registered::of::<__Task>() }                         // unless generic
//!     CallBuilder::<__Task>::new().value(&a).rows(x).rows_mut(y).merged()
//! }
//! ```
//!
//! Spans: the user's tokens keep theirs, so that rustc's complaints and panics point at the user's lines.
//! What is added stands at the macro's own call site, where no lint of the user looks, and its variables are
//! hygienic; where a bound can fail, it is placed at the type that must meet it.

use super::layout;
use super::param::{Access, Array, Form, Kind, Param, Rank, Source};
use super::signature::{Output, TaskSignature};
use crate::function::Function;
use crate::options::Options;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashSet;
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    GenericArgument, GenericParam, Generics, Ident, PathArguments, Result, Token, Type, TypeParamBound,
    Visibility, WherePredicate, parse_quote, parse_quote_spanned,
};

type Bounds = Punctuated<TypeParamBound, Token![+]>;

/// Expands `#[task]`.
pub fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::of_task(options)?;
    let signature = TaskSignature::of(Function::from_item("task", item)?)?;
    Ok(Expansion::new(signature, options).into_tokens())
}

/// Everything that is written, before it is put together.
struct Expansion {
    signature: TaskSignature,
    options: Options,
    /// Names of the constructor's parameters, one per parameter of the task.
    names: Vec<Ident>,
}

impl Expansion {
    fn new(signature: TaskSignature, options: Options) -> Self {
        let names = constructor_names(&signature);
        Self { signature, options, names }
    }

    fn into_tokens(mut self) -> TokenStream {
        let vis = std::mem::replace(&mut self.signature.function.vis, Visibility::Inherited);
        let constructor = self.constructor_signature();
        let marker = self.marker();
        let implementation = self.implementation();
        let registration = self.registration();
        let build = self.build();
        let Self { signature: TaskSignature { attrs, function, .. }, .. } = &self;
        quote_spanned! {Span::mixed_site()=>
            #(#attrs)*
            #vis #constructor {
                // A task takes its views by value, whatever it does with them.
                #[allow(clippy::needless_pass_by_value)]
                #function
                #marker
                #implementation
                #registration
                #build
            }
        }
    }

    /// `fn saxpy<'call, T>(a: f64, …) -> Call<'call, ()> where …`
    fn constructor_signature(&self) -> TokenStream {
        let krate = self.krate(Span::mixed_site());
        let name = &self.signature.function.sig.ident;
        let generics = self.static_generics();
        let (type_params, where_clause) = (&generics.params, &generics.where_clause);
        let params = self.with_names().filter_map(|(name, param)| {
            let ty = self.constructor_type(param)?;
            Some(quote!(#name: #ty))
        });
        let output = self.shown_output();
        // Without arrays nothing is borrowed, and the call may live as long as it likes.
        let (lifetime, borrow) = if self.signature.has_arrays() {
            (quote!('call,), quote!('call))
        } else {
            (quote!(), quote!('static))
        };
        quote_spanned! {Span::mixed_site()=>
            fn #name<#lifetime #type_params>(#(#params),*) -> #krate::Call<#borrow, #output> #where_clause
        }
    }

    fn constructor_type(&self, param: &Param) -> Option<TokenStream> {
        match &param.kind {
            Kind::Block => None,
            Kind::Value(ty) => Some(quote!(#ty)),
            Kind::Borrowed(ty) => Some(quote!(&#ty)),
            Kind::Array(array) => {
                let span = at(&param.ty);
                let krate = self.krate(span);
                let (elem, dim) = (self.elem(array), self.dim(array, span));
                // An array of any rank is taken as one of dynamic rank.
                let dim = match &array.source {
                    Source::Named { rank: Rank::Any, .. } => quote!(),
                    _ => quote_spanned!(span=> , Dim = #dim),
                };
                let bound = if array.access.is_mut() { "IntoRowsMut" } else { "IntoRows" };
                let bound = Ident::new(bound, span);
                Some(quote_spanned!(span=> impl #krate::#bound<'call, Elem = #elem #dim>))
            }
        }
    }

    /// `struct __Task<T>(PhantomData<…>);`
    fn marker(&self) -> TokenStream {
        let generics = &self.signature.function.sig.generics;
        let mut bare = generics.clone();
        bare.where_clause = None;
        bare.type_params_mut().for_each(|param| {
            param.colon_token = None;
            param.bounds.clear();
        });
        let types = generics.type_params().map(|param| &param.ident);
        quote_spanned! {Span::mixed_site()=>
            #[allow(dead_code)]
            struct __Task #bare(::core::marker::PhantomData<(#(fn() -> *const #types,)*)>);
        }
    }

    /// `impl Task for __Task { … }`
    fn implementation(&self) -> TokenStream {
        let krate = self.krate(Span::mixed_site());
        let site = Span::mixed_site();
        let generics = self.static_generics();
        let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
        let name = self.task_name();
        let layout = layout::of_signature(&self.signature);
        let output = self.output();
        let args = if self.signature.params.is_empty() { quote!(_) } else { quote_spanned!(site=> args) };
        let reads = self.signature.params.iter().enumerate().map(|(i, param)| self.read(i, param));
        let call = self.call();
        let describe = self.describe();
        let folder = self.folder();
        quote_spanned! {site=>
            impl #impl_generics #krate::Task for __Task #type_generics #where_clause {
                const NAME: &'static str = #name;
                const LAYOUT: &'static str = #layout;
                type Output = #output;
                fn run(
                    #args: &mut #krate::Args<'_>,
                ) -> ::core::result::Result<Self::Output, #krate::TaskError> {
                    #(#reads)*
                    #call
                }
                #folder
                #describe
            }
        }
    }

    /// `fn folder() …`: whether results merge in workers; that they merge at all is checked, and said, where the call is built.
    fn folder(&self) -> TokenStream {
        if !self.signature.is_split() {
            return TokenStream::new();
        }
        let krate = self.krate(Span::mixed_site());
        quote_spanned! {Span::mixed_site()=>
            fn folder() -> ::core::option::Option<#krate::__private::Folder> {
                #[allow(unused_imports)]
                use #krate::__private::{ByCollector as _, ByMerge as _};
                (&&#krate::__private::Foldable::<Self::Output>::NEW).folder()
            }
        }
    }

    /// `fn describe(…) { … }`: names and types of the parameters, for the record of a death.
    fn describe(&self) -> TokenStream {
        let krate = self.krate(Span::mixed_site());
        let lines: Vec<_> = self
            .with_names()
            .filter_map(|(name, param)| {
                let name = name.unraw().to_string();
                let value = |ty: TokenStream| {
                    // Which `show` it is depends on whether the type has a `Debug`.
                    quote_spanned! {Span::mixed_site()=>
                        describer.value(#name, |bytes| (&&#krate::__private::Shown::<#ty>::NEW).show(bytes));
                    }
                };
                match &param.kind {
                    Kind::Block => None,
                    Kind::Value(ty) => Some(value(quote!(#ty))),
                    Kind::Borrowed(ty) => Some(value(quote!(<#ty as ::std::borrow::ToOwned>::Owned))),
                    Kind::Array(_) => Some(quote_spanned!(Span::mixed_site()=> describer.array(#name);)),
                }
            })
            .collect();
        if lines.is_empty() {
            return TokenStream::new();
        }
        quote_spanned! {Span::mixed_site()=>
            fn describe(describer: &mut #krate::__private::Describer<'_>) {
                #[allow(unused_imports)]
                use #krate::__private::{ByDebug as _, ByName as _, ByType as _};
                #(#lines)*
            }
        }
    }

    /// `let arg1 = args.view::<f64, Ix1>()?;`
    fn read(&self, index: usize, param: &Param) -> TokenStream {
        let span = at(&param.ty);
        let args = Ident::new("args", Span::mixed_site());
        let arg = argument(index, param);
        match &param.kind {
            Kind::Block => quote_spanned!(span=> let #arg = #args.block();),
            Kind::Value(ty) => quote_spanned!(span=> let #arg = #args.value::<#ty>()?;),
            Kind::Borrowed(ty) => quote_spanned! {span=>
                let #arg = #args.value_ref::<<#ty as ::std::borrow::ToOwned>::Owned>()?;
                let #arg = ::core::borrow::Borrow::<#ty>::borrow(#arg);
            },
            Kind::Array(array) => {
                let (elem, dim) = (self.elem(array), self.dim(array, span));
                match (array.form, array.access.is_mut()) {
                    (Form::Slice, false) => quote_spanned!(span=> let #arg = #args.flat::<#elem>()?;),
                    (Form::Slice, true) => quote_spanned!(span=> let #arg = #args.flat_mut::<#elem>()?;),
                    (_, false) => quote_spanned!(span=> let #arg = #args.view::<#elem, #dim>()?;),
                    (Form::View, true) => quote_spanned!(span=> let #arg = #args.view_mut::<#elem, #dim>()?;),
                    (Form::Ref, true) => {
                        quote_spanned!(span=> let mut #arg = #args.view_mut::<#elem, #dim>()?;)
                    }
                }
            }
        }
    }

    /// `Ok(saxpy(arg0, arg1, arg2))`
    fn call(&self) -> TokenStream {
        let sig = &self.signature.function.sig;
        let name = &sig.ident;
        let turbofish = sig.generics.split_for_impl().1;
        let turbofish = turbofish.as_turbofish();
        let passed = self.signature.params.iter().enumerate().map(|(i, param)| {
            let arg = argument(i, param);
            match &param.kind {
                Kind::Array(Array { form: Form::Ref, access, .. }) => {
                    let span = at(&param.ty);
                    if access.is_mut() {
                        quote_spanned!(span=> &mut *#arg)
                    } else {
                        quote_spanned!(span=> &*#arg)
                    }
                }
                _ => quote!(#arg),
            }
        });
        let call = quote_spanned!(at(name)=> #name #turbofish(#(#passed),*));
        match &self.signature.output {
            Output::Fallible { result, .. } => {
                let span = at(result);
                let krate = self.krate(span);
                quote_spanned!(span=> <#result as #krate::__private::Fallible>::into_task_result(#call))
            }
            _ => quote_spanned!(Span::mixed_site()=> ::core::result::Result::Ok(#call)),
        }
    }

    /// `inventory::submit! { … }`, unless the task is generic and has no one type to register.
    fn registration(&self) -> TokenStream {
        if !self.signature.function.sig.generics.params.is_empty() {
            return TokenStream::new();
        }
        let krate = self.krate(Span::mixed_site());
        quote_spanned! {Span::mixed_site()=>
            #krate::__private::inventory::submit! { #krate::__private::Registered::of::<__Task>() }
        }
    }

    /// `CallBuilder::<__Task>::new().value(&a).rows(x).merged()`
    fn build(&self) -> TokenStream {
        let krate = self.krate(Span::mixed_site());
        let type_generics = self.signature.function.sig.generics.split_for_impl().1;
        let turbofish = type_generics.as_turbofish();
        let pushes = self.with_names().filter_map(|(name, param)| {
            let span = at(&param.ty);
            match &param.kind {
                Kind::Block => None,
                Kind::Value(_) => Some(quote_spanned!(span=> .value(&#name))),
                Kind::Borrowed(_) => Some(quote_spanned!(span=> .value(#name))),
                Kind::Array(array) => Some(match (array.access, array.form) {
                    (Access::Whole, _) => quote_spanned!(span=> .whole(#name)),
                    (Access::Rows, _) => quote_spanned!(span=> .rows(#name)),
                    (Access::Staged, _) => quote_spanned!(span=> .rows_mut(#name)),
                    (Access::Out, _) => quote_spanned!(span=> .out(#name)),
                }),
            }
        });
        let finish = if self.signature.is_split() {
            let span = at(&self.signature.output.place());
            quote_spanned!(span=> .merged())
        } else {
            quote_spanned!(Span::mixed_site()=> .single())
        };
        quote_spanned! {Span::mixed_site()=>
            #krate::CallBuilder::<__Task #turbofish>::new() #(#pushes)* #finish
        }
    }

    /// The task's generics with `'static` for every type parameter, which `Task` asks for. It is added where the
    /// parameter already has its bounds.
    fn static_generics(&self) -> Generics {
        let mut generics = self.signature.function.sig.generics.clone();
        let Generics { params, where_clause, .. } = &mut generics;
        for param in params.iter_mut() {
            let GenericParam::Type(param) = param else { continue };
            let predicates = where_clause.iter_mut().flat_map(|clause| &mut clause.predicates);
            let bounds = predicates.filter_map(|predicate| bounds_of(predicate, &param.ident)).next();
            let bounds = match bounds {
                Some(bounds) if param.bounds.is_empty() => bounds,
                _ => &mut param.bounds,
            };
            if !bounds.iter().any(|bound| matches!(bound, TypeParamBound::Lifetime(_))) {
                bounds.push(parse_quote!('static));
            }
        }
        generics
    }

    fn task_name(&self) -> TokenStream {
        match &self.options.name {
            Some(name) => quote!(#name),
            None => {
                let name = self.signature.function.sig.ident.unraw().to_string();
                quote_spanned!(Span::mixed_site()=> ::core::concat!(::core::module_path!(), "::", #name))
            }
        }
    }

    /// What a call yields, as the trait sees it.
    fn output(&self) -> TokenStream {
        match &self.signature.output {
            Output::Unit => quote!(()),
            Output::Plain(ty) => quote!(#ty),
            Output::Fallible { result, .. } => {
                let span = at(result);
                let krate = self.krate(span);
                quote_spanned!(span=> <#result as #krate::__private::Fallible>::Ok)
            }
        }
    }

    /// What a call yields, as the documentation shows it.
    fn shown_output(&self) -> TokenStream {
        match &self.signature.output {
            Output::Fallible { ok: Some(ok), .. } => quote!(#ok),
            _ => self.output(),
        }
    }

    /// Where ndpool is found, placed at `span`.
    fn krate(&self, span: Span) -> TokenStream {
        self.options.krate.at(span)
    }

    fn elem(&self, array: &Array) -> TokenStream {
        match &array.source {
            Source::Named { elem, .. } => quote!(#elem),
            Source::Alias(ty) => self.projection(ty, "Elem"),
        }
    }

    fn dim(&self, array: &Array, span: Span) -> TokenStream {
        let krate = self.krate(span);
        match &array.source {
            Source::Named { rank: Rank::Fixed(n), .. } => {
                let dim = format_ident!("Ix{n}", span = span);
                quote_spanned!(span=> #krate::ndarray::#dim)
            }
            Source::Named { rank: Rank::Any, .. } => quote_spanned!(span=> #krate::ndarray::IxDyn),
            Source::Named { rank: Rank::Type(ty), .. } => quote!(#ty),
            Source::Alias(ty) => self.projection(ty, "Dim"),
        }
    }

    /// `<Img<'static> as View>::Elem`
    fn projection(&self, alias: &Type, item: &str) -> TokenStream {
        let span = at(alias);
        let krate = self.krate(span);
        let alias = with_static(alias);
        let item = Ident::new(item, span);
        quote_spanned!(span=> <#alias as #krate::__private::View>::#item)
    }

    fn with_names(&self) -> impl Iterator<Item = (&Ident, &Param)> {
        self.names.iter().zip(&self.signature.params)
    }
}

/// The bounds of `param` in a predicate of a `where` clause.
fn bounds_of<'a>(predicate: &'a mut WherePredicate, param: &Ident) -> Option<&'a mut Bounds> {
    match predicate {
        WherePredicate::Type(predicate) if predicate.lifetimes.is_none() => {
            let Type::Path(path) = &predicate.bounded_ty else { return None };
            path.path.is_ident(param).then_some(&mut predicate.bounds)
        }
        _ => None,
    }
}

/// A place of the user's at which names still resolve as the macro's own.
fn at(place: &impl Spanned) -> Span {
    Span::mixed_site().located_at(place.span())
}

/// The variable that holds a decoded argument.
fn argument(index: usize, param: &Param) -> Ident {
    Ident::new(&format!("arg{index}"), at(&param.ty))
}

/// `Img` and `Img<'_>` become `Img<'static>`, so that they can stand outside of a signature.
fn with_static(alias: &Type) -> Type {
    let mut alias = alias.clone();
    let Type::Path(path) = &mut alias else { return alias };
    let Some(segment) = path.path.segments.last_mut() else { return alias };
    match &mut segment.arguments {
        PathArguments::None => {
            segment.arguments =
                PathArguments::AngleBracketed(parse_quote_spanned!(segment.ident.span()=> <'static>));
        }
        PathArguments::AngleBracketed(arguments) => {
            let lifetime = parse_quote_spanned!(segment.ident.span()=> 'static);
            match arguments.args.first_mut() {
                Some(first @ GenericArgument::Lifetime(_)) => *first = lifetime,
                _ => arguments.args.insert(0, lifetime),
            }
        }
        PathArguments::Parenthesized(_) => {}
    }
    alias
}

/// The names that the constructor shows: those of the task, without leading underscores and without doubles.
///
/// The task's own name is taken: inside the constructor it is the function.
fn constructor_names(signature: &TaskSignature) -> Vec<Ident> {
    let mut taken = HashSet::from([signature.function.sig.ident.unraw().to_string()]);
    let mut names = Vec::new();
    for (i, param) in signature.params.iter().enumerate() {
        let (text, span) = match &param.name {
            Some(name) => (name.unraw().to_string(), at(name)),
            None => (String::new(), at(&param.ty)),
        };
        let text = text.trim_start_matches('_');
        let mut text = if text.is_empty() { format!("arg{i}") } else { text.to_owned() };
        while !taken.insert(text.clone()) {
            text.push('_');
        }
        // A keyword or a number may be left over, of `r#type` and `_0`.
        names.push(syn::parse_str::<Ident>(&text).unwrap_or_else(|_| format_ident!("arg{i}_")));
        if let Some(name) = names.last_mut() {
            name.set_span(span);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(options: TokenStream, item: TokenStream) -> String {
        expand(options, item).unwrap_or_else(|error| panic!("{error}")).to_string()
    }

    /// Asserts that `text` has `tokens` in it, whatever the spaces.
    fn assert_has(text: &str, tokens: TokenStream) {
        let tokens = tokens.to_string();
        let tight = |text: &str| text.replace(' ', "");
        assert!(tight(text).contains(&tight(&tokens)), "{tokens}\nis not in\n{text}");
    }

    #[test]
    fn arguments_are_given_and_read_in_order() {
        let text = expanded(
            quote!(),
            quote! {
                /// y ← a·x + y
                #[inline]
                pub(crate) fn saxpy(
                    a: f64, x: ArrayView1<f64>, b: &Block, s: &str, mut y: ArrayViewMut1<f64>
                ) { work() }
            },
        );
        assert_has(
            &text,
            quote! {
                pub(crate) fn saxpy<'call,>(
                    a: f64,
                    x: impl ::ndpool::IntoRows<'call, Elem = f64, Dim = ::ndpool::ndarray::Ix1>,
                    s: &str,
                    y: impl ::ndpool::IntoRowsMut<'call, Elem = f64, Dim = ::ndpool::ndarray::Ix1>
                ) -> ::ndpool::Call<'call, ()>
            },
        );
        assert_has(
            &text,
            quote! {
                #[inline]
                fn saxpy(a: f64, x: ArrayView1<f64>, b: &Block, s: &str, mut y: ArrayViewMut1<f64>) { work() }
            },
        );
        assert_has(
            &text,
            quote! {
                let arg0 = args.value::<f64>()?;
                let arg1 = args.view::<f64, ::ndpool::ndarray::Ix1>()?;
                let arg2 = args.block();
                let arg3 = args.value_ref::<<str as ::std::borrow::ToOwned>::Owned>()?;
                let arg3 = ::core::borrow::Borrow::<str>::borrow(arg3);
                let arg4 = args.view_mut::<f64, ::ndpool::ndarray::Ix1>()?;
                ::core::result::Result::Ok(saxpy(arg0, arg1, arg2, arg3, arg4))
            },
        );
        assert_has(
            &text,
            quote! {
                ::ndpool::CallBuilder::<__Task>::new().value(&a).rows(x).value(s).rows_mut(y).merged()
            },
        );
        assert_has(
            &text,
            quote!(
                const LAYOUT: &'static str = "(f64, rows f64[1], &str, staged f64[1]) -> ()";
            ),
        );
        assert_has(&text, quote!(::ndpool::__private::Registered::of::<__Task>()));
        assert_has(
            &text,
            quote! {
                describer.value("a", |bytes| (&&::ndpool::__private::Shown::<f64>::NEW).show(bytes));
                describer.array("x");
                describer.value("s", |bytes|
                    (&&::ndpool::__private::Shown::<<str as ::std::borrow::ToOwned>::Owned>::NEW).show(bytes));
                describer.array("y");
            },
        );
    }

    #[test]
    fn a_task_without_arrays_borrows_nothing_and_is_not_merged() {
        let text = expanded(quote!(), quote! { fn f(x: u8) -> io::Result<u8> { work() } });
        assert_has(&text, quote! { fn f<>(x: u8) -> ::ndpool::Call<'static, u8> });
        assert_has(
            &text,
            quote!(<io::Result<u8> as ::ndpool::__private::Fallible>::into_task_result(f(arg0))),
        );
        assert_has(&text, quote!(.value(&x).single()));
    }

    #[test]
    fn a_generic_task_is_static_and_not_registered() {
        let text = expanded(
            quote!(crate = crate, name = "s"),
            quote! {
                fn scale<T: Element, D, E: 'static, const N: usize>(k: [T; N], mut y: ArrayViewMut<T, D>)
                where
                    D: Dimension,
                { work() }
            },
        );
        assert_has(&text, quote! { fn scale<'call, T: Element + 'static, D, E: 'static, const N: usize> });
        assert_has(&text, quote!(where D: Dimension + 'static));
        assert_has(&text, quote! { struct __Task<T, D, E, const N: usize> });
        assert_has(&text, quote!(scale::<T, D, E, N>(arg0, arg1)));
        assert_has(&text, quote!(crate::CallBuilder::<__Task::<T, D, E, N>>::new()));
        assert_has(
            &text,
            quote!(
                const NAME: &'static str = "s";
            ),
        );
        assert!(!text.contains("Registered"));
    }

    #[test]
    fn every_access_has_its_method() {
        let text = expanded(
            quote!(),
            quote! {
                fn f(
                    #[whole] a: &ArrayRef2<u8>, #[whole] #[flat] b: &[u8], #[flat] c: &[u8],
                    #[out] d: &mut ArrayRefD<u8>,
                    #[flat] #[out] e: &mut [u8], #[rows] g: Img, #[rows_mut] h: m::ImgMut<'_, u8>,
                ) { work() }
            },
        );
        assert_has(&text, quote!(.whole(a).whole(b).rows(c).out(d).out(e).rows(g).rows_mut(h).merged()));
        assert_has(&text, quote!(f(&*arg0, arg1, arg2, &mut *arg3, arg4, arg5, arg6)));
        assert_has(&text, quote!(d: impl ::ndpool::IntoRowsMut<'call, Elem = u8>));
        assert_has(&text, quote!(Dim = <Img<'static> as ::ndpool::__private::View>::Dim));
        assert_has(&text, quote!(Elem = <m::ImgMut<'static, u8> as ::ndpool::__private::View>::Elem));
    }

    #[test]
    fn names_of_the_constructor_are_plain_and_distinct() {
        let text = expanded(
            quote!(),
            quote! { fn f(_a: u8, a: u8, (b, c): (u8, u8), _: u8, r#type: u8) { work() } },
        );
        assert_has(&text, quote! { fn f<>(a: u8, a_: u8, arg2: (u8, u8), arg3: u8, arg4_: u8) });
    }

    #[test]
    fn raw_names_lose_their_mark_in_the_name_of_the_task() {
        let text = expanded(quote!(), quote! { fn r#match() { work() } });
        assert_has(&text, quote!(::core::concat!(::core::module_path!(), "::", "match")));
        assert_has(&text, quote! { fn r#match<>() });
    }
}
