//! Random bytes as inputs: whatever is asked, the engine answers or refuses.
//!
//! The fuzzer in `fuzz/` looks for such bytes with the same functions; what it found is in `hostile/findings`.

mod hostile;

use hostile::{density, model, structure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

type Check = fn(&[u8]);
const CHECKS: [(&str, Check, u64, usize); 3] = [
    ("density", density::check, 20_000, 64),
    ("structure", structure::check, 20_000, 128),
    ("model", model::check, 300, 512),
];

#[test]
fn random_bytes() {
    for (_, check, inputs, length) in CHECKS {
        for seed in 0..inputs {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut input = vec![0; rng.random_range(1..length)];
            rng.fill(&mut input[..]);
            check(&input);
        }
    }
}

#[test]
fn what_was_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/findings");
    for (name, check, ..) in CHECKS {
        let Ok(files) = fs::read_dir(folder.join(name)) else { continue };
        for file in files {
            let path = file.expect("a readable folder").path();
            println!("{}", path.display());
            check(&fs::read(path).expect("a readable file"));
        }
    }
}
