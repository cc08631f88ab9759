//! Numbers as JSON and as text.
//!
//! JSON has one kind of number, and neither NaN nor infinity. Here every number is written with the fewest digits that
//! read back to the same value *of its own type*, integers with all digits, NaN and infinities as the strings
//! `"nan"`, `"inf"` and `"-inf"`, and a complex number as `{"re":…,"im":…}`.

use std::fmt::Write;

use ndpool::ops::dynamic::{AnyValue, Number, Values};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// Elements at either end of an axis that text shows of a long one.
const EDGE_ITEMS: usize = 3;
/// Elements of an array that text shows without leaving some out.
const MAX_ITEMS: usize = 200;

/// For `serialize_with`: a float that may not be finite.
pub fn finite_or_text<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match not_finite(*x) {
        Some(text) => serializer.serialize_str(text),
        None => serializer.serialize_f64(*x),
    }
}

fn not_finite(x: f64) -> Option<&'static str> {
    match x {
        _ if x.is_nan() => Some("nan"),
        f64::INFINITY => Some("inf"),
        f64::NEG_INFINITY => Some("-inf"),
        _ => None,
    }
}

struct Float(f64);
struct Float32(f32);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        finite_or_text(&self.0, serializer)
    }
}

impl Serialize for Float32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match not_finite(self.0.into()) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_f32(self.0),
        }
    }
}

/// One number.
#[derive(Debug, Clone, Copy)]
pub struct Scalar(pub Number);

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Number::Float32(x) => Float32(x).serialize(serializer),
            Number::Float(x) => Float(x).serialize(serializer),
            Number::Int(x) => serializer.serialize_i64(x),
            Number::UInt(x) => serializer.serialize_u64(x),
            Number::Bool(x) => serializer.serialize_bool(x),
            Number::Complex32(re, im) => complex(serializer, Float32(re), Float32(im)),
            Number::Complex(re, im) => complex(serializer, Float(re), Float(im)),
            other => serializer.serialize_str(&other.to_string()),
        }
    }
}

fn complex<S: Serializer>(serializer: S, re: impl Serialize, im: impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("re", &re)?;
    map.serialize_entry("im", &im)?;
    map.end()
}

/// Numbers as nested lists, the last axis innermost; a single one as itself.
struct Nested<'a> {
    shape: &'a [usize],
    numbers: &'a [Number],
}

impl Nested<'_> {
    /// The parts along the first axis, if there is one.
    fn parts(&self) -> Option<impl ExactSizeIterator<Item = Nested<'_>>> {
        let (&n, shape) = self.shape.split_first()?;
        let len = self.numbers.len().checked_div(n).unwrap_or(0);
        Some((0..n).map(move |i| Nested { shape, numbers: &self.numbers[i * len..(i + 1) * len] }))
    }
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.parts() {
            None => Scalar(self.numbers[0]).serialize(serializer),
            Some(parts) => {
                let mut list = serializer.serialize_seq(Some(parts.len()))?;
                for part in parts {
                    list.serialize_element(&part)?;
                }
                list.end()
            }
        }
    }
}

struct One<'a>(&'a AnyValue);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Nested { shape: self.0.shape(), numbers: &self.0.numbers() }.serialize(serializer)
    }
}

/// Values as the members of an object.
pub struct Fields<'a>(pub &'a Values);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, One(value))))
    }
}

/// The value of an operation: a number or lists if there is one, an object if there are several.
pub struct Value<'a>(pub &'a Values);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [(_, value)] => One(value).serialize(serializer),
            _ => Fields(self.0).serialize(serializer),
        }
    }
}

/// The shapes of values, in the form of [`Value`].
pub struct Shapes<'a>(pub &'a Values);

impl Serialize for Shapes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [(_, value)] => value.shape().serialize(serializer),
            values => serializer.collect_map(values.iter().map(|(name, value)| (name, value.shape()))),
        }
    }
}

/// A value for people: long axes of large arrays are cut short.
pub fn text(value: &AnyValue) -> String {
    let numbers = value.numbers();
    let edge = if numbers.len() > MAX_ITEMS { EDGE_ITEMS } else { usize::MAX / 2 };
    let mut text = String::new();
    write_text(&mut text, &Nested { shape: value.shape(), numbers: &numbers }, edge, 0);
    text
}

fn write_text(text: &mut String, nested: &Nested<'_>, edge: usize, depth: usize) {
    let Some(parts) = nested.parts() else {
        let _ = write!(text, "{}", nested.numbers[0]);
        return;
    };
    let n = parts.len();
    // Numbers side by side, lists below each other.
    let between = match nested.shape.len() {
        1 => ", ".to_owned(),
        _ => format!(",\n{}", " ".repeat(depth + 1)),
    };
    text.push('[');
    for (i, part) in parts.enumerate() {
        if i > edge && i < n.saturating_sub(edge) {
            continue;
        }
        if i > 0 {
            text.push_str(&between);
        }
        if i == edge && n > 2 * edge {
            text.push('…');
        } else {
            write_text(text, &part, edge, depth + 1);
        }
    }
    text.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndpool::ndarray::{ArrayD, IxDyn};
    use ndpool::num_complex::Complex;
    use proptest::prelude::*;

    fn json(number: impl Into<Number>) -> String {
        serde_json::to_string(&Scalar(number.into())).unwrap()
    }

    proptest! {
        #[test]
        fn f64_reads_back_to_the_same_bits(bits: u64) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            prop_assert_eq!(json(x).parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn f32_reads_back_to_the_same_bits_also_by_way_of_f64(bits: u32) {
            let x = f32::from_bits(bits);
            prop_assume!(x.is_finite());
            prop_assert_eq!(json(x).parse::<f32>().unwrap().to_bits(), bits);
            prop_assert_eq!((json(x).parse::<f64>().unwrap() as f32).to_bits(), bits);
        }

        #[test]
        fn integers_keep_all_digits(x: i64, y: u64) {
            prop_assert_eq!(json(x).parse::<i64>().unwrap(), x);
            prop_assert_eq!(json(y).parse::<u64>().unwrap(), y);
        }
    }

    #[test]
    fn special_numbers() {
        assert_eq!(json(0.1_f32), "0.1");
        assert_eq!(json(-0.0_f64), "-0.0");
        assert_eq!(json(f64::NAN), r#""nan""#);
        assert_eq!(json(f32::INFINITY), r#""inf""#);
        assert_eq!(json(f64::NEG_INFINITY), r#""-inf""#);
        assert_eq!(json(true), "true");
        assert_eq!(json(u64::MAX), "18446744073709551615");
        assert_eq!(json(Complex::new(0.1_f32, f32::NAN)), r#"{"re":0.1,"im":"nan"}"#);
    }

    fn ramp(shape: &[usize]) -> AnyValue {
        let n: usize = shape.iter().product();
        ArrayD::from_shape_vec(IxDyn(shape), (0..n as u64).collect()).unwrap().into()
    }

    #[test]
    fn arrays_are_nested_lists() {
        let json = |shape: &[usize]| serde_json::to_string(&One(&ramp(shape))).unwrap();
        assert_eq!(json(&[]), "0");
        assert_eq!(json(&[0]), "[]");
        assert_eq!(json(&[2, 0]), "[[],[]]");
        assert_eq!(json(&[0, 2]), "[]");
        assert_eq!(json(&[2, 1, 2]), "[[[0,1]],[[2,3]]]");
    }

    #[test]
    fn text_cuts_long_axes_short() {
        assert_eq!(text(&ramp(&[])), "0");
        assert_eq!(text(&ramp(&[2, 2])), "[[0, 1],\n [2, 3]]");
        assert_eq!(text(&ramp(&[201])), "[0, 1, 2, …, 198, 199, 200]");
        assert_eq!(text(&ramp(&[100, 3])).lines().count(), 7);
    }
}
