//! A program with two tasks of one name, which builds a pool, or serves one, and prints why it cannot.

use ndpool::{Pool, task};

#[task(name = "twins/one")]
fn one() -> u8 {
    1
}

mod other {
    use ndpool::task;

    #[task(name = "twins/one")]
    pub fn another(x: u8) -> u8 {
        x
    }
}

fn main() {
    ndpool::init();
    let (_, _) = (one(), other::another(2));
    match Pool::builder().workers(1).build() {
        Ok(_) => println!("a pool"),
        Err(error) => println!("{:?}\n{error}", error.kind()),
    }
}
