//! The whole signature of a task: what qualifiers, generics, parameters and result mean, or why they are
//! refused.

use super::attrs::{self, Sorted};
use super::param::{Kind, Param, borrow_inside, last_segment};
use crate::function::Function;
use quote::ToTokens;
use syn::{Error, FnArg, GenericArgument, PathArguments, Result, ReturnType, Signature, Type, parse_quote};

/// A task that can be written out.
pub struct TaskSignature {
    /// The function as written, without the marks on its parameters and without the constructor's attributes.
    pub function: Function,
    /// The constructor's attributes.
    pub attrs: Vec<syn::Attribute>,
    /// Its parameters in order.
    pub params: Vec<Param>,
    /// What a call yields.
    pub output: Output,
}

/// What a task returns.
pub enum Output {
    /// Nothing is written after the parameters.
    Unit,
    /// A value.
    Plain(Type),
    /// A `Result`.
    Fallible {
        /// The type as written.
        result: Type,
        /// Its first type argument, if it has one.
        ok: Option<Type>,
    },
}

impl TaskSignature {
    /// Takes a function as a task. Refusals of several parameters are reported together.
    pub fn of(mut function: Function) -> Result<Self> {
        check_qualifiers(&function.sig)?;
        let Sorted { outer, inner } = attrs::sort(std::mem::take(&mut function.attrs))?;
        function.attrs = inner;
        let mut refusals: Option<Error> = None;
        let mut refuse = |error: Error| match &mut refusals {
            Some(all) => all.combine(error),
            None => refusals = Some(error),
        };
        if let Some(lifetime) = function.sig.generics.lifetimes().next() {
            let message = "a task has no lifetime parameters: leave them out, or write `'_`\n(hint: a view \
                           or reference lives for the time of one block; what must live longer belongs \
                           into the result)";
            refuse(Error::new_spanned(lifetime, message));
        }
        let mut params = Vec::new();
        for input in &mut function.sig.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    let message =
                        "a task is a free function: it has no `self`\n(hint: pass the value as a parameter)";
                    refuse(Error::new_spanned(receiver, message));
                }
                FnArg::Typed(typed) => match Param::of(typed) {
                    Ok(param) => params.push(param),
                    Err(error) => refuse(error),
                },
            }
        }
        let output = Output::of(&function.sig.output).map_err(&mut refuse);
        match (refusals, output) {
            (None, Ok(output)) => Ok(Self { function, attrs: outer, params, output }),
            (Some(error), _) => Err(error),
            (None, Err(())) => unreachable!("an error of the output was recorded"),
        }
    }

    /// Whether the job is split into blocks, so that results have to be merged.
    pub fn is_split(&self) -> bool {
        self.params.iter().any(|param| matches!(&param.kind, Kind::Array(array) if array.access.is_split()))
    }

    /// Whether a call borrows arrays.
    pub fn has_arrays(&self) -> bool {
        self.params.iter().any(|param| matches!(param.kind, Kind::Array(_)))
    }
}

fn check_qualifiers(sig: &Signature) -> Result<()> {
    let refuse = |place: &dyn ToTokens, message: &str| Err(Error::new_spanned(place, message));
    if let Some(asyncness) = &sig.asyncness {
        return refuse(
            asyncness,
            "a task cannot be `async`: a worker runs one block at a time, to its end\n(hint: await in the \
             program; a `Job` is a `Future`)",
        );
    }
    if let Some(unsafety) = &sig.unsafety {
        return refuse(
            unsafety,
            "a task cannot be `unsafe`: any caller may give any arguments\n(hint: check the arguments in \
             the task and use an `unsafe` block)",
        );
    }
    if let Some(abi) = &sig.abi {
        return refuse(abi, "a task cannot be `extern`: workers call it as a Rust function");
    }
    if let Some(variadic) = &sig.variadic {
        return refuse(variadic, "a task cannot be variadic: its arguments travel by their types");
    }
    Ok(())
}

impl Output {
    fn of(output: &ReturnType) -> Result<Self> {
        let ReturnType::Type(_, ty) = output else { return Ok(Self::Unit) };
        match &**ty {
            Type::ImplTrait(_) => {
                return Err(Error::new_spanned(
                    ty,
                    "a task cannot return `impl Trait`: name the type of the result",
                ));
            }
            Type::Never(_) => {
                return Err(Error::new_spanned(
                    ty,
                    "a task that never returns has no result: leave out `-> !`",
                ));
            }
            _ => {}
        }
        let output = match last_segment(ty).filter(|segment| segment.ident == "Result") {
            None => Self::Plain((**ty).clone()),
            Some(segment) => Self::Fallible { result: (**ty).clone(), ok: first_type(&segment.arguments) },
        };
        // The error of a `Result` becomes text in the worker and may borrow what is 'static.
        let sent = match &output {
            Self::Plain(ty) | Self::Fallible { ok: Some(ty), .. } => Some(ty),
            _ => None,
        };
        if let Some(reference) = sent.and_then(borrow_inside) {
            let message = "a task cannot return a reference: the result is sent to another process\n(hint: \
                           return an owned value, such as `String` or `Vec<T>`)";
            return Err(Error::new_spanned(reference, message));
        }
        Ok(output)
    }

    /// The type to point at when something is wrong with the result.
    pub fn place(&self) -> Type {
        match self {
            Self::Unit => parse_quote!(()),
            Self::Plain(ty) | Self::Fallible { ok: Some(ty), .. } | Self::Fallible { result: ty, .. } => {
                ty.clone()
            }
        }
    }
}

impl ToTokens for Output {
    /// The type of the result, as far as the source names it.
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        self.place().to_tokens(tokens);
    }
}

fn first_type(arguments: &PathArguments) -> Option<Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|arg| match arg {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use quote::quote;

    fn signature(tokens: TokenStream) -> Result<TaskSignature> {
        TaskSignature::of(syn::parse2(tokens).unwrap())
    }

    fn refusal(tokens: TokenStream) -> Vec<String> {
        let error = signature(tokens).err().expect("must be refused");
        error.into_iter().map(|error| error.to_string()).collect()
    }

    #[test]
    fn results_are_known_by_name() {
        let output = |tokens| signature(tokens).unwrap().output;
        assert!(matches!(output(quote! { fn f() {} }), Output::Unit));
        assert!(matches!(output(quote! { fn f() -> Sum<f64> {} }), Output::Plain(_)));
        assert!(matches!(output(quote! { fn f() -> MyResult<f64> {} }), Output::Plain(_)));
        for ty in [
            quote!(Result<u8, E>),
            quote!(io::Result<u8>),
            quote!(anyhow::Result<u8>),
            quote!(::a::b::Result<u8>),
        ] {
            let Output::Fallible { ok: Some(ok), .. } = output(quote! { fn f() -> #ty {} }) else {
                panic!("{ty}")
            };
            assert_eq!(ok.to_token_stream().to_string(), "u8");
        }
        assert!(matches!(output(quote! { fn f() -> fmt::Result {} }), Output::Fallible { ok: None, .. }));
        assert!(matches!(output(quote! { fn f() -> Result<u8, &'static str> {} }), Output::Fallible { .. }));
    }

    #[test]
    fn what_is_split() {
        let split = |tokens| signature(tokens).unwrap().is_split();
        assert!(!split(quote! { fn f(x: u8, b: &Block) {} }));
        assert!(!split(quote! { fn f(#[whole] x: ArrayView1<u8>) {} }));
        assert!(split(quote! { fn f(#[whole] x: ArrayView1<u8>, #[flat] y: &[u8]) {} }));
        assert!(signature(quote! { fn f(#[whole] x: ArrayView1<u8>) {} }).unwrap().has_arrays());
    }

    #[test]
    fn refusals() {
        let case = |tokens: TokenStream, text: &str| {
            let messages = refusal(tokens.clone());
            assert!(messages.len() == 1 && messages[0].contains(text), "{tokens}: {messages:?}");
        };
        case(quote! { async fn f() {} }, "`async`");
        case(quote! { unsafe fn f() {} }, "`unsafe`");
        case(quote! { extern "C" fn f() {} }, "`extern`");
        case(quote! { fn f(x: u8, ...) {} }, "variadic");
        case(quote! { fn f(&self) {} }, "`self`");
        case(quote! { fn f(self: Box<Self>) {} }, "`self`");
        case(quote! { fn f<'a>(x: u8) {} }, "lifetime parameters");
        case(quote! { fn f() -> impl Copy {} }, "impl Trait");
        case(quote! { fn f() -> ! {} }, "never returns");
        case(quote! { fn f() -> &'static str {} }, "return a reference");
        case(quote! { fn f() -> Result<Vec<&str>, E> {} }, "return a reference");
    }

    #[test]
    fn refusals_are_reported_together() {
        assert_eq!(refusal(quote! { fn f(&self, x: &mut u8, y: impl Copy) -> &u8 {} }).len(), 4);
    }
}
