//! One parameter of a task: what it means, or why it is refused.
//!
//! A macro sees names, not types. Arrays are known by the names that ndarray gives them (`ArrayView2`,
//! `ArrayRefD`, …); a type alias of a view has to be marked. Everything else is a value.

use super::marks::Marks;
use proc_macro2::Span;
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Error, GenericArgument, Ident, ParenthesizedGenericArguments, Pat, PatType, PathArguments, PathSegment,
    Result, Type, TypeBareFn, TypeReference,
};

/// One parameter.
pub struct Param {
    /// Its name, where the pattern has one.
    pub name: Option<Ident>,
    /// Its type as written, to point at.
    pub ty: Type,
    /// What it means.
    pub kind: Kind,
}

/// What a parameter means.
pub enum Kind {
    /// `&Block`: filled in by the worker.
    Block,
    /// A serde value.
    Value(Type),
    /// `&T`: a value that is decoded once per worker and job.
    Borrowed(Type),
    /// A shared array.
    Array(Array),
}

/// A shared array.
pub struct Array {
    /// Which part of it a block sees, and how.
    pub access: Access,
    /// In what form the task's function takes it.
    pub form: Form,
    /// Where its element type and rank are found.
    pub source: Source,
}

/// Which part of an array a block sees, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its rows, read.
    Rows,
    /// All of it, read.
    Whole,
    /// Its rows, changed in a copy that is written back.
    Staged,
    /// Its rows, written in full without being read.
    Out,
}

/// In what form the task's function takes an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `ArrayView<T, D>` or `ArrayViewMut<T, D>`.
    View,
    /// `&ArrayRef<T, D>` or `&mut ArrayRef<T, D>`.
    Ref,
    /// `&[T]` or `&mut [T]`.
    Slice,
}

/// Where the element type and the rank of an array are found.
pub enum Source {
    /// In the type's own words.
    Named {
        /// Element type.
        elem: Type,
        /// Rank.
        rank: Rank,
    },
    /// Behind an alias of a view.
    Alias(Type),
}

/// The rank of an array.
pub enum Rank {
    /// A number: `ArrayView2<T>`.
    Fixed(usize),
    /// Whatever the call brings: `ArrayViewD<T>`, `ArrayView<T, IxDyn>`, slices.
    Any,
    /// A type: `ArrayView<T, D>`.
    Type(Type),
}

impl Access {
    /// Whether the array is split into blocks of rows.
    pub fn is_split(self) -> bool {
        self != Self::Whole
    }

    /// Whether the task writes it.
    pub fn is_mut(self) -> bool {
        matches!(self, Self::Staged | Self::Out)
    }
}

impl Param {
    /// Reads one parameter and takes its marks out of `param`.
    pub fn of(param: &mut PatType) -> Result<Self> {
        let marks = Marks::take(&mut param.attrs)?;
        let name = match &*param.pat {
            Pat::Ident(pat) => Some(pat.ident.clone()),
            _ => None,
        };
        let ty = (*param.ty).clone();
        let kind = classify(&ty, marks)?;
        Ok(Self { name, ty, kind })
    }
}

fn classify(ty: &Type, marks: Marks) -> Result<Kind> {
    match ty {
        Type::Paren(inner) => classify(&inner.elem, marks),
        Type::Group(inner) => classify(&inner.elem, marks),
        Type::Reference(reference) => classify_reference(reference, marks),
        Type::ImplTrait(_) => Err(Error::new_spanned(
            ty,
            "a task cannot take `impl Trait`: its type must have a name\n(hint: write a type parameter, \
             `fn f<T: Trait>(x: T)`)",
        )),
        Type::Ptr(_) => refuse(ty, "a task cannot take a pointer: it means nothing in another process"),
        Type::TraitObject(_) => {
            refuse(ty, "a task cannot take `dyn Trait`: a worker would not know what to make")
        }
        Type::Slice(slice) => Err(Error::new_spanned(
            ty,
            format!(
                "a slice is passed by reference: `&{0}` for a value, `#[flat] x: &{0}` for the rows of an \
                 array",
                spaced(slice)
            ),
        )),
        _ => classify_owned(ty, marks),
    }
}

fn classify_owned(ty: &Type, marks: Marks) -> Result<Kind> {
    if let Some(span) = marks.flat {
        let message = "`#[flat]` belongs on a slice: `#[flat] x: &[T]`, or `#[flat] y: &mut [T]`";
        return Err(Error::new(span, message));
    }
    let Some((segment, name)) = last_segment(ty).and_then(|segment| Some((segment, ArrayName::of(segment)?)))
    else {
        return classify_unnamed(ty, marks);
    };
    if name.family == Family::Ref {
        let message = format!("`{}` has no size of its own: take `&{0}` or `&mut {0}`", spaced(ty));
        return Err(Error::new_spanned(ty, message));
    }
    let access = access_of(name.family == Family::ViewMut, marks)?;
    let source = name.source(segment)?;
    Ok(Kind::Array(Array { access, form: Form::View, source }))
}

/// A type without a name that the macro knows: a value, or an alias of a view if it is marked so.
fn classify_unnamed(ty: &Type, marks: Marks) -> Result<Kind> {
    let access = match marks {
        Marks { rows: Some(_), .. } => Access::Rows,
        Marks { rows_mut: Some(_), .. } => Access::Staged,
        Marks { whole: Some(_), .. } => Access::Whole,
        Marks { out: Some(_), .. } => Access::Out,
        _ => {
            check_value(ty)?;
            return Ok(Kind::Value(ty.clone()));
        }
    };
    if last_segment(ty).is_none() {
        return refuse(ty, "this attribute belongs on an array: a view of ndarray, or an alias of one");
    }
    let source = Source::Alias(ty.clone());
    Ok(Kind::Array(Array { access, form: Form::View, source }))
}

fn classify_reference(reference: &TypeReference, marks: Marks) -> Result<Kind> {
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident != "_") {
        return Err(named_lifetime(lifetime));
    }
    let inner = ungroup(&reference.elem);
    let is_mut = reference.mutability.is_some();
    if let (Some(_), Type::Slice(slice)) = (marks.flat, inner) {
        let access = access_of(is_mut, marks)?;
        let source = Source::Named { elem: (*slice.elem).clone(), rank: Rank::Any };
        return Ok(Kind::Array(Array { access, form: Form::Slice, source }));
    }
    if let Some(span) = marks.flat {
        let message = "`#[flat]` belongs on a slice: `#[flat] x: &[T]`, or `#[flat] y: &mut [T]`";
        return Err(Error::new(span, message));
    }
    if let Some((segment, name)) =
        last_segment(inner).and_then(|segment| Some((segment, ArrayName::of(segment)?)))
    {
        if name.family != Family::Ref {
            let message = format!("a view is passed by value: `{}`", spaced(inner));
            return Err(Error::new_spanned(reference, message));
        }
        let access = access_of(is_mut, marks)?;
        let source = name.source(segment)?;
        return Ok(Kind::Array(Array { access, form: Form::Ref, source }));
    }
    if let Some(span) = marks.rows.or(marks.rows_mut).or(marks.whole).or(marks.out) {
        let message =
            "this attribute belongs on an array: a view of ndarray passed by value, or `&ArrayRef…`";
        return Err(Error::new(span, message));
    }
    if is_mut {
        return Err(mutable_reference(reference, inner));
    }
    if last_segment(inner).is_some_and(|segment| segment.ident == "Block" && is_elided(&segment.arguments)) {
        return Ok(Kind::Block);
    }
    match inner {
        Type::TraitObject(_) => {
            refuse(inner, "a task cannot take `&dyn Trait`: a worker would not know what to make")
        }
        Type::ImplTrait(_) => classify(inner, marks),
        _ => {
            check_value(inner)?;
            Ok(Kind::Borrowed(inner.clone()))
        }
    }
}

/// Whether a type has no arguments but lifetimes that are left open, as a lint may ask for: `Block` or `Block<'_>`.
fn is_elided(arguments: &PathArguments) -> bool {
    match arguments {
        PathArguments::None => true,
        PathArguments::AngleBracketed(args) => args
            .args
            .iter()
            .all(|arg| matches!(arg, GenericArgument::Lifetime(lifetime) if lifetime.ident == "_")),
        PathArguments::Parenthesized(_) => false,
    }
}

fn mutable_reference(reference: &TypeReference, inner: &Type) -> Error {
    let hint = match inner {
        Type::Slice(_) => {
            format!("to write the rows of an array, mark it: `#[flat] y: {}`", spaced(reference))
        }
        _ => "return a result, or take an array to write: `mut y: ArrayViewMut1<f64>`".to_owned(),
    };
    let message = format!(
        "a task cannot take `{}`: a worker runs in another process and would change its own copy\n(hint: \
         {hint})",
        spaced(reference)
    );
    Error::new_spanned(reference, message)
}

/// What the marks make of an array that is mutable or not by its own type.
fn access_of(is_mut: bool, marks: Marks) -> Result<Access> {
    let misplaced = |span: Span, message: &str| Err(Error::new(span, message));
    match (is_mut, marks) {
        (true, Marks { whole: Some(span), .. }) => misplaced(
            span,
            "`#[whole]` on an array that is written: every block would write all of it, at the same \
             time\n(hint: take it split by rows, or return what each block found and merge it)",
        ),
        (true, Marks { rows: Some(span), .. }) => {
            misplaced(span, "`#[rows]` reads, but this array is written: remove it")
        }
        (true, Marks { out: Some(_), .. }) => Ok(Access::Out),
        (true, _) => Ok(Access::Staged),
        (false, Marks { out: Some(span), .. }) => misplaced(
            span,
            "`#[out]` belongs on an array that is written: `ArrayViewMut…`, `&mut ArrayRef…` or `#[flat] \
             &mut [T]`",
        ),
        (false, Marks { rows_mut: Some(span), .. }) => {
            misplaced(span, "`#[rows_mut]` writes, but this array is read-only")
        }
        (false, Marks { whole: Some(_), .. }) => Ok(Access::Whole),
        (false, _) => Ok(Access::Rows),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    View,
    ViewMut,
    Ref,
}

/// A name that ndarray gives to a view or an array reference.
struct ArrayName {
    family: Family,
    suffix: Suffix,
}

enum Suffix {
    /// `ArrayView<T, D>`
    Generic,
    /// `ArrayView3<T>`
    Digit(usize),
    /// `ArrayViewD<T>`
    Dyn,
}

impl ArrayName {
    fn of(segment: &PathSegment) -> Option<Self> {
        let name = segment.ident.to_string();
        let families =
            [("ArrayViewMut", Family::ViewMut), ("ArrayView", Family::View), ("ArrayRef", Family::Ref)];
        let (suffix, family) =
            families.iter().find_map(|(prefix, family)| Some((name.strip_prefix(prefix)?, *family)))?;
        let suffix = match suffix {
            "" => Suffix::Generic,
            "D" => Suffix::Dyn,
            "0" | "1" | "2" | "3" | "4" | "5" | "6" => Suffix::Digit(suffix.parse().ok()?),
            _ => return None,
        };
        Some(Self { family, suffix })
    }

    /// Element type and rank out of the generic arguments.
    fn source(&self, segment: &PathSegment) -> Result<Source> {
        let name = &segment.ident;
        let mut types = Vec::new();
        if let PathArguments::AngleBracketed(args) = &segment.arguments {
            for arg in &args.args {
                match arg {
                    GenericArgument::Lifetime(lifetime) if lifetime.ident != "_" => {
                        return Err(named_lifetime(lifetime));
                    }
                    GenericArgument::Type(ty) => types.push(ty),
                    _ => {}
                }
            }
        }
        let (elem, rank) = match (&self.suffix, &types[..]) {
            (Suffix::Generic, [elem, dim]) => {
                let is_dyn = last_segment(dim).is_some_and(|segment| segment.ident == "IxDyn");
                (*elem, if is_dyn { Rank::Any } else { Rank::Type((*dim).clone()) })
            }
            (Suffix::Digit(n), [elem]) => (*elem, Rank::Fixed(*n)),
            (Suffix::Dyn, [elem]) => (*elem, Rank::Any),
            (Suffix::Generic, _) => {
                let message = format!("name the element type and the rank: `{name}<f64, Ix2>`");
                return Err(Error::new_spanned(segment, message));
            }
            _ => return Err(Error::new_spanned(segment, format!("name the element type: `{name}<f64>`"))),
        };
        if let Type::Infer(_) = elem {
            return refuse(elem, "the element type of an array cannot be inferred: name it");
        }
        Ok(Source::Named { elem: elem.clone(), rank })
    }
}

/// Refuses what no deserialiser can make: a value with a borrow or a view inside.
fn check_value(ty: &Type) -> Result<()> {
    if let Some(reference) = borrow_inside(ty) {
        let owned = match ungroup(&reference.elem) {
            Type::Path(path) if path.path.is_ident("str") => "`String`".to_owned(),
            Type::Slice(slice) => format!("`Vec<{}>`", spaced(&slice.elem)),
            _ => "an owned type".to_owned(),
        };
        let message = format!(
            "a value that holds a reference cannot be sent to a worker\n(hint: use {owned} here; only a \
             whole parameter can be a reference, and is then decoded once per worker)"
        );
        return Err(Error::new_spanned(reference, message));
    }
    struct Views(Option<PathSegment>);
    impl VisitMut for Views {
        fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
            if self.0.is_none() && ArrayName::of(segment).is_some() && !segment.arguments.is_none() {
                self.0 = Some(segment.clone());
            }
            visit_mut::visit_path_segment_mut(self, segment);
        }
    }
    let mut views = Views(None);
    views.visit_type_mut(&mut ty.clone());
    match views.0 {
        Some(segment) => {
            refuse(&segment, "an array must be a parameter of its own, not a part of another type")
        }
        None => Ok(()),
    }
}

/// The first reference inside a type. Those in signatures of functions do not count.
pub fn borrow_inside(ty: &Type) -> Option<TypeReference> {
    struct Borrows(Option<TypeReference>);
    impl VisitMut for Borrows {
        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            self.0.get_or_insert_with(|| reference.clone());
        }
        fn visit_type_bare_fn_mut(&mut self, _: &mut TypeBareFn) {}
        fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
        fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
            if segment.ident != "PhantomData" {
                visit_mut::visit_path_segment_mut(self, segment);
            }
        }
    }
    let mut borrows = Borrows(None);
    borrows.visit_type_mut(&mut ty.clone());
    borrows.0
}

/// The last segment of a path, `ArrayView1<f64>` of `ndarray::ArrayView1<f64>`.
pub fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ungroup(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn ungroup(ty: &Type) -> &Type {
    match ty {
        Type::Paren(inner) => ungroup(&inner.elem),
        Type::Group(inner) => ungroup(&inner.elem),
        _ => ty,
    }
}

fn named_lifetime(lifetime: &syn::Lifetime) -> Error {
    let message = format!(
        "a task borrows for the time of one block only: leave out the lifetime `{lifetime}`, or write \
         `'_`\n(hint: what must live longer belongs into the result)"
    );
    Error::new(lifetime.span(), message)
}

fn refuse<T>(place: &(impl ToTokens + ?Sized), message: &str) -> Result<T> {
    Err(Error::new_spanned(place, message))
}

/// A type as a user would write it.
fn spaced(tokens: &impl ToTokens) -> String {
    super::layout::source_text(tokens.to_token_stream())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use quote::quote;
    use syn::{FnArg, parse_quote};

    fn param(tokens: TokenStream) -> Result<Param> {
        let FnArg::Typed(mut param) = syn::parse2(tokens)? else { panic!("a typed parameter") };
        Param::of(&mut param)
    }

    fn array(tokens: TokenStream) -> (Access, Form, String) {
        let Kind::Array(array) = param(tokens).unwrap_or_else(|error| panic!("{error}")).kind else {
            panic!("an array")
        };
        let source = match array.source {
            Source::Alias(ty) => format!("alias {}", ty.to_token_stream()),
            Source::Named { elem, rank: Rank::Fixed(n) } => format!("{}[{n}]", elem.to_token_stream()),
            Source::Named { elem, rank: Rank::Any } => format!("{}[*]", elem.to_token_stream()),
            Source::Named { elem, rank: Rank::Type(ty) } => {
                format!("{}[{}]", elem.to_token_stream(), quote!(#ty))
            }
        };
        (array.access, array.form, source)
    }

    fn refusal(tokens: TokenStream) -> String {
        param(tokens).err().expect("must be refused").to_string()
    }

    #[test]
    fn the_table_of_arrays() {
        let case =
            |tokens, access, form, source: &str| assert_eq!(array(tokens), (access, form, source.to_owned()));
        case(quote!(x: ArrayView1<f64>), Access::Rows, Form::View, "f64[1]");
        case(quote!(x: ndarray::ArrayView2<'_, f64>), Access::Rows, Form::View, "f64[2]");
        case(quote!(x: ArrayView<T, D>), Access::Rows, Form::View, "T[D]");
        case(quote!(x: ArrayView<T, ndarray::IxDyn>), Access::Rows, Form::View, "T[*]");
        case(quote!(x: ArrayViewD<bool>), Access::Rows, Form::View, "bool[*]");
        case(quote!(x: &ArrayRef1<f64>), Access::Rows, Form::Ref, "f64[1]");
        case(quote! { #[whole] x: ArrayView2<f64> }, Access::Whole, Form::View, "f64[2]");
        case(quote! { #[whole] x: &ArrayRef<f64, Ix2> }, Access::Whole, Form::Ref, "f64[Ix2]");
        case(quote!(mut y: ArrayViewMut0<f32>), Access::Staged, Form::View, "f32[0]");
        case(quote!(y: &mut ArrayRefD<f32>), Access::Staged, Form::Ref, "f32[*]");
        case(quote! { #[out] y: ArrayViewMut<T, D> }, Access::Out, Form::View, "T[D]");
        case(quote! { #[out] y: &mut ArrayRef6<T> }, Access::Out, Form::Ref, "T[6]");
        case(quote! { #[flat] x: &[T] }, Access::Rows, Form::Slice, "T[*]");
        case(quote! { #[flat] #[whole] x: &[T] }, Access::Whole, Form::Slice, "T[*]");
        case(quote! { #[flat] y: &mut [T] }, Access::Staged, Form::Slice, "T[*]");
        case(quote! { #[flat] #[out] y: &mut [T] }, Access::Out, Form::Slice, "T[*]");
        case(quote! { #[rows] x: Img }, Access::Rows, Form::View, "alias Img");
        case(quote! { #[rows_mut] x: Img }, Access::Staged, Form::View, "alias Img");
        case(quote! { #[whole] x: Img }, Access::Whole, Form::View, "alias Img");
        case(quote! { #[out] x: Img }, Access::Out, Form::View, "alias Img");
        case(quote!(x: (ArrayView1<f64>)), Access::Rows, Form::View, "f64[1]");
    }

    #[test]
    fn everything_else_is_a_value() {
        for tokens in [
            quote!(x: f64),
            quote!((a, b): (usize, usize)),
            quote!(mut x: u64),
            quote!(_: [u8; N]),
            quote!(x: Cow<'static, str>),
            quote!(x: ArrayViewSettings),
            quote!(x: Box<dyn Event>),
            quote!(x: Block),
            quote!(x: ArrayView7),
            quote!(x: PhantomData<&'static u8>),
        ] {
            assert!(matches!(param(tokens.clone()).map(|param| param.kind), Ok(Kind::Value(_))), "{tokens}");
        }
        for tokens in [quote!(x: &str), quote!(x: &[f64]), quote!(x: &Path), quote!(x: &'_ Config)] {
            assert!(
                matches!(param(tokens.clone()).map(|param| param.kind), Ok(Kind::Borrowed(_))),
                "{tokens}"
            );
        }
        for tokens in [quote!(b: &Block), quote!(b: &ndpool::Block), quote!(b: &Block<'_>)] {
            assert!(matches!(param(tokens.clone()).map(|param| param.kind), Ok(Kind::Block)), "{tokens}");
        }
    }

    #[test]
    fn refusals() {
        let case = |tokens: TokenStream, text: &str| {
            let message = refusal(tokens.clone());
            assert!(message.contains(text), "{tokens}: {message}");
        };
        case(quote!(x: impl Copy), "type parameter");
        case(quote!(x: *const u8), "pointer");
        case(quote!(x: dyn Copy), "dyn Trait");
        case(quote!(x: &dyn Copy), "&dyn Trait");
        case(quote!(x: [f64]), "`&[f64]` for a value");
        case(quote!(x: &mut u32), "its own copy");
        case(quote!(x: &mut [f64]), "`#[flat] y: &mut [f64]`");
        case(quote!(x: &mut Block), "its own copy");
        case(quote!(x: &'static str), "leave out the lifetime `'static`");
        case(quote!(x: ArrayView1<'a, f64>), "leave out the lifetime `'a`");
        case(quote!(x: &ArrayView1<f64>), "passed by value: `ArrayView1<f64>`");
        case(quote!(x: ArrayRef1<f64>), "take `&ArrayRef1<f64>`");
        case(quote!(x: ArrayView1), "`ArrayView1<f64>`");
        case(quote!(x: ArrayView<f64>), "the rank");
        case(quote!(x: ArrayView1<_>), "cannot be inferred");
        case(quote!(x: Option<ArrayView1<f64>>), "parameter of its own");
        case(quote!(x: Vec<&str>), "`String`");
        case(quote!(x: (u8, &[f64])), "`Vec<f64>`");
        case(quote!(x: &[&Config]), "an owned type");
        case(quote! { #[whole] mut y: ArrayViewMut1<f64> }, "every block would write");
        case(quote! { #[whole] #[flat] y: &mut [f64] }, "every block would write");
        case(quote! { #[out] x: ArrayView1<f64> }, "is written");
        case(quote! { #[out] #[flat] x: &[f64] }, "is written");
        case(quote! { #[rows] y: ArrayViewMut1<f64> }, "is written");
        case(quote! { #[rows_mut] y: ArrayView1<f64> }, "read-only");
        case(quote! { #[flat] x: ArrayView1<f64> }, "belongs on a slice");
        case(quote! { #[flat] x: &str }, "belongs on a slice");
        case(quote! { #[flat] x: Vec<f64> }, "belongs on a slice");
        case(quote! { #[whole] x: &str }, "belongs on an array");
        case(quote! { #[rows] x: (u8, u8) }, "belongs on an array");
    }

    #[test]
    fn references_in_signatures_are_no_borrows() {
        let free: Type = parse_quote!(Handler<fn(&str) -> u8, Box<dyn Fn(&str)>>);
        assert!(borrow_inside(&free).is_none());
        assert!(borrow_inside(&parse_quote!(Result<Vec<&u8>, E>)).is_some());
    }
}
