//! The arguments of a call as text, for the record of a death.
//!
//! Nothing is formatted while tasks run: the record is made from the serialised values, once somebody has died. The macro
//! writes for each task which parameters it has and of which types, and the compiler chooses for each type between its `Debug`
//! and its name: of `(&&Shown::<T>::NEW).show(…)` it tries [`ByDebug`] as the method of a reference first, then
//! [`ByName`] with one reference more, then [`ByType`] with one less, and takes the first whose bounds hold.

use crate::error::Argument;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::fmt::{self, Debug, Write};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Characters of an argument that are shown.
const SHOWN_CHARS: usize = 80;

/// Takes the parameters of a task one after the other, and makes texts of its values.
#[derive(Debug)]
pub struct Describer<'b> {
    /// The values that are not described yet; `None` if they are not to be looked at, or cannot be read any further.
    bytes: Option<&'b [u8]>,
    pub(crate) values: Vec<Argument>,
    /// Names of the parameters that are arrays.
    pub(crate) arrays: Vec<&'static str>,
}

impl<'b> Describer<'b> {
    pub(crate) fn new(bytes: Option<&'b [u8]>) -> Self {
        Self { bytes, values: Vec::new(), arrays: Vec::new() }
    }

    /// The next value, by the function that makes a text of it and takes its bytes.
    pub fn value(&mut self, name: &str, show: impl FnOnce(&mut Option<&'b [u8]>) -> String) {
        // The user's code: what deserialises, and what formats.
        let text = catch_unwind(AssertUnwindSafe(|| show(&mut self.bytes))).unwrap_or_else(|payload| {
            // Dropping a payload can panic too.
            std::mem::forget(payload);
            self.bytes = None;
            "(its Debug or Deserialize panicked)".into()
        });
        self.values.push(Argument { name: name.to_owned(), text });
    }

    /// Passes over a value that is none of the user's.
    pub(crate) fn skip<T: DeserializeOwned>(&mut self) {
        // What cannot be read is said of the next one.
        let _ = take::<T>(&mut self.bytes);
    }

    /// The next array.
    pub fn array(&mut self, name: &'static str) {
        self.arrays.push(name);
    }

    /// Describes values of which nobody told the types.
    pub(crate) fn rest(&mut self, n_values: usize) {
        if self.values.is_empty() && n_values > 0 {
            let s = if n_values == 1 { "" } else { "s" };
            let size = self.bytes.map(|bytes| format!(", {} bytes", bytes.len())).unwrap_or_default();
            self.values
                .push(Argument { name: "values".into(), text: format!("({n_values} value{s}{size})") });
        }
    }
}

/// Stands for a value of type `T` that may be shown.
#[derive(Debug)]
pub struct Shown<T>(PhantomData<fn() -> T>);

impl<T> Shown<T> {
    /// The one there is.
    pub const NEW: Self = Self(PhantomData);
}

/// Shows a value as its `Debug` prints it.
pub trait ByDebug {
    /// The text of the value at the start of the bytes, which are moved on.
    fn show(&self, bytes: &mut Option<&[u8]>) -> String;
}

impl<T: DeserializeOwned + Debug> ByDebug for &Shown<T> {
    fn show(&self, bytes: &mut Option<&[u8]>) -> String {
        match take::<T>(bytes) {
            Ok((value, _)) => shortened(&value),
            Err(text) => text,
        }
    }
}

/// Shows what is known of a value that has no `Debug`.
pub trait ByName {
    /// The type and size of the value at the start of the bytes, which are moved on.
    fn show(&self, bytes: &mut Option<&[u8]>) -> String;
}

impl<T: DeserializeOwned> ByName for &&Shown<T> {
    fn show(&self, bytes: &mut Option<&[u8]>) -> String {
        match take::<T>(bytes) {
            Ok((_, 1)) => format!("({}, 1 byte)", type_name::<T>()),
            Ok((_, len)) => format!("({}, {len} bytes)", type_name::<T>()),
            Err(text) => text,
        }
    }
}

/// Shows what is known of a value that cannot even be read. It makes no task: the compiler says so, of the task's own lines and
/// not of this.
pub trait ByType {
    /// The type alone; nothing after it can be read.
    fn show(&self, bytes: &mut Option<&[u8]>) -> String;
}

impl<T> ByType for Shown<T> {
    fn show(&self, bytes: &mut Option<&[u8]>) -> String {
        *bytes = None;
        format!("({}, not shown)", type_name::<T>())
    }
}

/// The value at the start of the bytes and their number, or what is to be said instead.
fn take<T: DeserializeOwned>(bytes: &mut Option<&[u8]>) -> Result<(T, usize), String> {
    let Some(all) = bytes else { return Err(format!("({}, not shown)", type_name::<T>())) };
    match postcard::take_from_bytes::<T>(all) {
        Ok((value, rest)) => {
            let len = all.len() - rest.len();
            *bytes = Some(rest);
            Ok((value, len))
        }
        Err(error) => {
            *bytes = None;
            Err(format!("({}, cannot be read: {error})", type_name::<T>()))
        }
    }
}

/// The `Debug` of a value, cut off.
fn shortened(value: &dyn Debug) -> String {
    struct Cut {
        text: String,
        n_left: usize,
        is_cut: bool,
    }
    impl Write for Cut {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for c in part.chars() {
                if self.n_left == 0 {
                    self.is_cut = true;
                    // Ends the formatting, however much there is to come.
                    return Err(fmt::Error);
                }
                self.n_left -= 1;
                self.text.push(if c == '\n' { ' ' } else { c });
            }
            Ok(())
        }
    }
    let mut cut = Cut { text: String::new(), n_left: SHOWN_CHARS, is_cut: false };
    // An error is the cut's, or the value's own: what came before is shown.
    let _ = write!(cut, "{value:?}");
    if cut.is_cut {
        cut.text.push('…');
    }
    cut.text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Plain(u32);

    #[derive(Serialize, Deserialize)]
    struct Panics;

    impl Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("on purpose")
        }
    }

    fn described(bytes: Option<&[u8]>) -> Vec<String> {
        let mut to = Describer::new(bytes);
        to.value("a", |bytes| (&&Shown::<f64>::NEW).show(bytes));
        to.value("b", |bytes| (&&Shown::<Plain>::NEW).show(bytes));
        to.value("c", |bytes| (&&Shown::<Vec<u8>>::NEW).show(bytes));
        to.value("d", |bytes| (&&Shown::<Panics>::NEW).show(bytes));
        to.value("e", |bytes| (&&Shown::<String>::NEW).show(bytes));
        to.values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_are_shown_by_debug_or_by_type_and_cut_off() {
        let bytes = postcard::to_stdvec(&(2.5, Plain(300), vec![7_u8; 1000], Panics, "x")).unwrap();
        let texts = described(Some(&bytes));
        assert_eq!(texts[0], "a = 2.5");
        assert!(texts[1].starts_with("b = (") && texts[1].ends_with("::Plain, 2 bytes)"), "{}", texts[1]);
        assert!(texts[2].starts_with("c = [7, 7, 7") && texts[2].ends_with('…'), "{}", texts[2]);
        assert_eq!(texts[2].chars().count(), "c = ".len() + SHOWN_CHARS + 1);
        assert!(texts[3].contains("panicked"), "{}", texts[3]);
        assert_eq!(texts[4], "e = (alloc::string::String, not shown)");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let texts = described(Some(&[1, 2]));
        assert!(texts[0].starts_with("a = (f64, cannot be read"), "{}", texts[0]);
        assert!(described(None).iter().all(|text| text.ends_with("not shown)")));
        let mut to = Describer::new(Some(&[1, 2]));
        to.rest(1);
        assert_eq!(to.values[0].to_string(), "values = (1 value, 2 bytes)");
    }

    #[test]
    fn a_generic_type_goes_by_its_name() {
        fn show<T: DeserializeOwned>(bytes: &[u8]) -> String {
            (&&Shown::<T>::NEW).show(&mut Some(bytes))
        }
        fn show_any<T>(bytes: &[u8]) -> String {
            let shown = &&Shown::<T>::NEW;
            shown.show(&mut Some(bytes))
        }
        assert_eq!(show::<u8>(&[5]), "(u8, 1 byte)");
        assert_eq!(show_any::<u8>(&[5]), "(u8, not shown)");
    }
}
