//! The price of an option by simulation: many calls without arrays, the same answer for any number of workers.
//!
//! Shows: plain tasks through `map`, whose results come in the order of the calls. Each call has a seed of its own,
//! so that which worker runs it, and when, changes nothing, down to the last bit.
//!
//! Run: `cargo run --release --example monte_carlo`
//!
//! Prints: the paths per second of a serial loop and of 1, 2 and 4 workers, all of which must find the same bits;
//! then the price of a European option, which has a formula to compare with, and of an Asian one on the same paths,
//! which has none, each with its standard error.

use ndpool::merge::Sum;
use ndpool::{Merge, Pool, task};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::time::Instant;

const N_CALLS: usize = 400;
const PATHS_PER_CALL: usize = 500;
const N_STEPS: usize = 50;

/// A market and an option to buy, a year from now, at the strike price.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Market {
    spot: f64,
    strike: f64,
    rate: f64,
    volatility: f64,
}

const MARKET: Market = Market { spot: 100.0, strike: 105.0, rate: 0.03, volatility: 0.2 };

/// Sums over paths of what an option pays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Merge, Serialize, Deserialize)]
struct Payoff {
    sum: Sum<f64>,
    sum_of_squares: Sum<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Merge, Serialize, Deserialize)]
struct Outcome {
    european: Payoff,
    asian: Payoff,
}

/// Simulates paths of the price; a function of its arguments and nothing else.
#[task]
fn simulate(seed: u64, n_paths: usize, market: Market) -> Outcome {
    simulate_paths(seed, n_paths, market)
}

fn simulate_paths(seed: u64, n_paths: usize, market: Market) -> Outcome {
    let mut random = Random(seed);
    let dt = 1.0 / N_STEPS as f64;
    let drift = (market.rate - 0.5 * market.volatility * market.volatility) * dt;
    let mut outcome = Outcome::default();
    for _ in 0..n_paths {
        let (mut log_price, mut total) = (market.spot.ln(), 0.0);
        for _ in 0..N_STEPS {
            log_price += drift + market.volatility * dt.sqrt() * random.normal();
            total += log_price.exp();
        }
        outcome.european.add(log_price.exp() - market.strike);
        outcome.asian.add(total / N_STEPS as f64 - market.strike);
    }
    outcome
}

impl Payoff {
    fn add(&mut self, gain: f64) {
        self.sum.0 += gain.max(0.0);
        self.sum_of_squares.0 += gain.max(0.0).powi(2);
    }

    /// Today's price and its standard error.
    fn price(&self, n_paths: usize, market: Market) -> (f64, f64) {
        let n = n_paths as f64;
        let (mean, discount) = (self.sum.0 / n, (-market.rate).exp());
        let variance = self.sum_of_squares.0 / n - mean * mean;
        (discount * mean, discount * (variance / n).sqrt())
    }
}

/// SplitMix64: small, and good enough here. References: Steele, Lea and Flood, OOPSLA 2014.
struct Random(u64);

impl Random {
    /// Uniform in (0, 1].
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 2.0
    }

    /// Standard normal, by the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * PI * self.uniform()).cos()
    }
}

fn main() -> ndpool::Result<()> {
    ndpool::init();
    let n_paths = N_CALLS * PATHS_PER_CALL;
    // Seeds far apart, so that no two calls meet the same numbers.
    let seeds = || (0..N_CALLS as u64).map(|call| call.wrapping_mul(0xD134_2543_DE82_EF95));
    let rate = |start: Instant| n_paths as f64 / 1e6 / start.elapsed().as_secs_f64();

    let start = Instant::now();
    let serial: Vec<Outcome> = seeds().map(|seed| simulate_paths(seed, PATHS_PER_CALL, MARKET)).collect();
    println!("serial     {:.2} million paths/s", rate(start));

    for n_workers in [1, 2, 4] {
        let pool = Pool::builder().workers(n_workers).build()?;
        let start = Instant::now();
        let calls = seeds().map(|seed| simulate(seed, PATHS_PER_CALL, MARKET));
        let outcomes: Vec<Outcome> = pool.map(calls).collect::<ndpool::Result<_>>()?;
        println!("{n_workers} workers  {:.2} million paths/s", rate(start));
        assert_eq!(outcomes, serial, "{n_workers} workers found something else than the serial loop");
    }

    let mut total = Outcome::default();
    serial.into_iter().for_each(|outcome| total.merge(outcome));
    let (european, european_error) = total.european.price(n_paths, MARKET);
    let (asian, asian_error) = total.asian.price(n_paths, MARKET);
    let exact = black_scholes(MARKET);
    println!("European option  {european:.4} ± {european_error:.4} (the formula gives {exact:.4})");
    println!("Asian option     {asian:.4} ± {asian_error:.4}");
    assert!((european - exact).abs() < 4.0 * european_error, "the simulation is far from the formula");
    println!("{n_paths} paths; the same bits serially and with 1, 2 and 4 workers");
    Ok(())
}

/// The price of the European option: Black and Scholes, Journal of Political Economy 1973.
fn black_scholes(market: Market) -> f64 {
    let Market { spot, strike, rate, volatility } = market;
    let d = ((spot / strike).ln() + rate) / volatility + 0.5 * volatility;
    spot * normal_cdf(d) - strike * (-rate).exp() * normal_cdf(d - volatility)
}

/// Probability that a standard normal number is below `x`, by its Taylor series; for `x` of moderate size.
fn normal_cdf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..60 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}
