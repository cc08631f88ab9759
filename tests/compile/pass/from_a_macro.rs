//! Tasks are written by other macros too: types arrive in invisible groups and with the spans of a definition.
#![deny(warnings)]

macro_rules! total {
    ($name:ident, $t:ty, $view:ty) => {
        #[ndpool::task]
        fn $name(scale: $t, x: $view) -> ndpool::merge::Sum<$t> {
            ndpool::merge::Sum(scale * x.sum())
        }
    };
}

total!(total_f32, f32, ndarray::ArrayView1<f32>);
total!(total_u8, u8, ndarray::ArrayView2<'_, u8>);

fn main() {
    let _ = |x: &ndpool::SharedArray<f32, ndarray::Ix1>, y: &ndpool::SharedArray<u8, ndarray::Ix2>| {
        drop((total_f32(1.0, x), total_u8(1, y)));
    };
}
