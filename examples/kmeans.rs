//! The 16 colours of a photograph: k-means, a batch program that iterates over one shared array.
//!
//! Shows: an array that is loaded once and read by many jobs; centroids that every block sees whole (`#[whole]`) and
//! that the program moves between jobs; labels that workers change in place; and results that merge. They are sums
//! of integers here, so that the answer has the same bits as the serial one.
//!
//! Run: `cargo run --release --example kmeans`
//!
//! Prints: how many pixels still changed their colour in each tenth iteration, until none does; the colours, with
//! their share of the picture; and the time of ndpool beside that of the serial program, which must come to the very
//! same centroids and labels.
//!
//! Data: examples/data/china.npy, a photograph of the Summer Palace by danielbuechele from the package scikit-learn;
//! CC BY 2.0. See examples/data/README.md.

use ndarray::prelude::*;
use ndpool::merge::Sum;
use ndpool::{Merge, Pool, task};
use serde::{Deserialize, Serialize};
use std::time::Instant;

const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/china.npy");
const K: usize = 16;
const MAX_ITERATIONS: usize = 2_000;

/// What an iteration learns from some rows of the image.
#[derive(Debug, Default, Merge, Serialize, Deserialize)]
struct Step {
    /// Pixels whose nearest centroid is another one than before.
    n_changed: Sum<u64>,
    /// Of each cluster: pixels, and the sums of their red, green and blue.
    clusters: [[Sum<u64>; 4]; K],
}

/// Labels the pixels of one block of rows with the nearest centroid.
#[task]
fn label(image: ArrayView3<u8>, #[whole] centroids: ArrayView2<f64>, labels: ArrayViewMut2<u8>) -> Step {
    label_rows(image, centroids, labels)
}

fn label_rows(image: ArrayView3<u8>, centroids: ArrayView2<f64>, mut labels: ArrayViewMut2<u8>) -> Step {
    let mut step = Step::default();
    let centroids: [[f64; 3]; K] = std::array::from_fn(|k| std::array::from_fn(|c| centroids[(k, c)]));
    for (pixel, label) in image.lanes(Axis(2)).into_iter().zip(&mut labels) {
        let colour = [0, 1, 2].map(|c| f64::from(pixel[c]));
        let mut nearest = (f64::INFINITY, 0);
        for (k, centroid) in centroids.iter().enumerate() {
            let distance: f64 = (0..3).map(|c| (colour[c] - centroid[c]).powi(2)).sum();
            if distance < nearest.0 {
                nearest = (distance, k);
            }
        }
        step.n_changed.0 += u64::from(*label != nearest.1 as u8);
        *label = nearest.1 as u8;
        let cluster = &mut step.clusters[nearest.1];
        cluster[0].0 += 1;
        (0..3).for_each(|c| cluster[c + 1].0 += u64::from(pixel[c]));
    }
    step
}

/// Moves every centroid to the middle of its pixels; one that has none stays where it is.
fn update(mut centroids: ArrayViewMut2<f64>, step: &Step) {
    for (mut centroid, [n, sums @ ..]) in centroids.rows_mut().into_iter().zip(&step.clusters) {
        if n.0 > 0 {
            (0..3).for_each(|c| centroid[c] = sums[c].0 as f64 / n.0 as f64);
        }
    }
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let pool = Pool::new()?;
    let image = pool.load_npy::<u8, Ix3>(IMAGE)?;
    let (height, width, _) = image.raw_dim().into_pattern();
    let start_colours = first_centroids(image.view());

    let start = Instant::now();
    let mut centroids = pool.from_array(&start_colours)?;
    let mut labels = pool.full::<u8, _>((height, width), u8::MAX)?;
    let mut n_iterations = 0;
    let last = loop {
        let step = pool.run(label(&image, &centroids, &mut labels))?;
        n_iterations += 1;
        if n_iterations % 10 == 1 {
            println!("iteration {n_iterations:>3}: {:>6} pixels changed their colour", step.n_changed.0);
        }
        if step.n_changed.0 == 0 || n_iterations == MAX_ITERATIONS {
            break step;
        }
        update(centroids.view_mut(), &step);
    };
    let parallel_seconds = start.elapsed().as_secs_f64();

    println!(
        "{} after {n_iterations} iterations",
        if last.n_changed.0 == 0 { "converged" } else { "stopped" }
    );
    for (centroid, [n, ..]) in centroids.view().rows().into_iter().zip(&last.clusters) {
        let [red, green, blue] = [0, 1, 2].map(|c| centroid[c].round() as u8);
        let share = 100.0 * n.0 as f64 / (height * width) as f64;
        println!("  #{red:02x}{green:02x}{blue:02x} {share:>5.1} %");
    }

    let start = Instant::now();
    let mut serial_centroids = start_colours;
    let mut serial_labels = Array2::from_elem((height, width), u8::MAX);
    for iteration in 1..=n_iterations {
        let step = label_rows(image.view(), serial_centroids.view(), serial_labels.view_mut());
        if iteration < n_iterations {
            update(serial_centroids.view_mut(), &step);
        }
    }
    let serial_seconds = start.elapsed().as_secs_f64();
    assert_eq!(centroids.view(), serial_centroids, "the centroids differ from the serial ones");
    assert_eq!(labels.view(), serial_labels, "the labels differ from the serial ones");
    println!("{} workers {parallel_seconds:.2} s, serial {serial_seconds:.2} s, same bits", pool.n_workers());
    Ok(())
}

/// Pixels that lie evenly over the image.
fn first_centroids(image: ArrayView3<u8>) -> Array2<f64> {
    let pixels: Vec<_> = image.lanes(Axis(2)).into_iter().collect();
    Array2::from_shape_fn((K, 3), |(k, c)| f64::from(pixels[(2 * k + 1) * pixels.len() / (2 * K)][c]))
}
