//! Smallest and largest elements, the places where they stand, and NaN.

use num_complex::Complex;

use super::fused::{Real, fold};
use super::prefetch::ahead;

/// Smallest and largest element of a slice, and whether it holds a NaN.
///
/// With a NaN, `min` and `max` are those of the other elements, or `None` if there are none.
pub struct Extremes<T> {
    pub bounds: Option<(T, T)>,
    pub has_nan: bool,
}

const LANES: usize = 32;
const GROUP: usize = 8 * LANES;

/// Extremes of floats: NaN loses every comparison, and is looked for apart.
#[inline(always)]
pub fn of_floats<T: Real>(x: &[T]) -> Extremes<T> {
    let (mut min, mut max) = ([T::INFINITY; LANES], [T::NEG_INFINITY; LANES]);
    let mut has_nan = false;
    let (groups, rest) = x.as_chunks::<GROUP>();
    for group in groups {
        for v in group.as_chunks::<LANES>().0 {
            ahead(v);
            widen(&mut min, &mut max, v);
        }
        // A second look, while the group is in the first-level cache.
        has_nan |= any_nan(group);
    }
    let (vectors, tail) = rest.as_chunks::<LANES>();
    for v in vectors {
        widen(&mut min, &mut max, v);
    }
    let mut min = fold(&min, |a, b| if b < a { b } else { a });
    let mut max = fold(&max, |a, b| if b > a { b } else { a });
    for v in tail {
        min = if *v < min { *v } else { min };
        max = if *v > max { *v } else { max };
    }
    has_nan |= any_nan(rest);
    // Infinities that no lane replaced: either they stand in the data, or everything is NaN.
    let bounds = (!has_nan || x.iter().any(|v| v.partial_cmp(v).is_some())).then_some((min, max));
    Extremes { bounds: bounds.filter(|_| !x.is_empty()), has_nan }
}

/// Moves bounds apart, lane by lane, until they hold a vector.
#[inline(always)]
fn widen<T: Real>(min: &mut [T; LANES], max: &mut [T; LANES], v: &[T; LANES]) {
    for i in 0..LANES {
        min[i] = if v[i] < min[i] { v[i] } else { min[i] };
    }
    for i in 0..LANES {
        max[i] = if v[i] > max[i] { v[i] } else { max[i] };
    }
}

/// Whether a slice of floats holds a NaN.
#[inline(always)]
pub fn any_nan<T: Real>(x: &[T]) -> bool {
    let (vectors, tail) = x.as_chunks::<256>();
    for v in vectors {
        let mut found = false;
        for w in v {
            found |= w.partial_cmp(w).is_none();
        }
        if found {
            return true;
        }
    }
    tail.iter().any(|w| w.partial_cmp(w).is_none())
}

/// Extremes of integers and booleans.
#[inline(always)]
pub fn of_ordered<T: Copy + Ord>(x: &[T]) -> Extremes<T> {
    let Some(&first) = x.first() else {
        return Extremes { bounds: None, has_nan: false };
    };
    let min = x.iter().fold(first, |a, b| a.min(*b));
    let max = x.iter().fold(first, |a, b| a.max(*b));
    Extremes { bounds: Some((min, max)), has_nan: false }
}

/// Lexicographic order of complex numbers without NaN: real part first.
#[inline(always)]
pub fn complex_less<F: Real>(a: Complex<F>, b: Complex<F>) -> bool {
    a.re < b.re || (a.re == b.re && a.im < b.im)
}

/// Extremes of complex numbers.
#[inline(always)]
pub fn of_complex<F: Real>(x: &[Complex<F>]) -> Extremes<Complex<F>> {
    let mut bounds: Option<(Complex<F>, Complex<F>)> = None;
    let mut has_nan = false;
    for &v in x {
        if v.re.partial_cmp(&v.re).is_none() || v.im.partial_cmp(&v.im).is_none() {
            has_nan = true;
            continue;
        }
        match &mut bounds {
            None => bounds = Some((v, v)),
            Some((min, max)) => {
                *min = if complex_less(v, *min) { v } else { *min };
                *max = if complex_less(*max, v) { v } else { *max };
            }
        }
    }
    Extremes { bounds, has_nan }
}
