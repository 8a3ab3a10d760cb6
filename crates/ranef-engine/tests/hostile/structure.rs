//! A covariance structure at any theta.

use super::bytes::Bytes;
use ranef_engine::covariance::{self, CATALOGUE, Covariance, Natural, NaturalScale, Options};

/// A structure of the catalogue.
pub fn any_structure(bytes: &mut Bytes, size: usize) -> Box<dyn Covariance> {
    let name = CATALOGUE[bytes.below(CATALOGUE.len())].card.name;
    let rank = bytes.flag().then(|| 1 + bytes.below(size));
    covariance::build_with(name, size, &Options { rank }).expect("in the catalogue")
}

/// Lambda is finite where theta is of any sensible size, theta follows from Lambda, and correlations are correlations.
pub fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let size = 1 + bytes.below(6);
    let structure = any_structure(&mut bytes, size);
    let theta: Vec<f64> = (0..structure.n_theta())
        .map(|_| if bytes.flag() { bytes.ordinary() } else { bytes.real() })
        .map(|value| if value == 0.0 || (1e-8..1e8).contains(&value.abs()) { value } else { value.signum() })
        .collect();
    let at = format!("{} of {size} columns at {theta:?}", structure.card().name);
    let mut lambda = vec![0.0; size * structure.rank()];
    structure.factor_into(&theta, &mut lambda);
    assert!(lambda.iter().all(|value| value.is_finite()), "Lambda {lambda:?}: {at}");

    let mut derivative = vec![0.0; lambda.len()];
    for m in 0..theta.len() {
        structure.derivative_into(&theta, m, &mut derivative);
        assert!(derivative.iter().all(|value| value.is_finite()), "derivative {m} {derivative:?}: {at}");
    }
    let natural = NaturalScale::new(&*structure, &theta);
    for (i, j) in structure.correlations() {
        let value = natural.value(Natural::Correlation(i, j));
        assert!(value.is_nan() || value.abs() <= 1.0 + 1e-12, "correlation {value}: {at}");
    }
    for i in structure.sds() {
        assert!(natural.value(Natural::Sd(i)) >= 0.0, "sd {i}: {at}");
    }

    // Signs do not matter to Sigma; theta follows from a Lambda whose signs are settled.
    let mut signed = theta.clone();
    structure.canonical_signs(&mut signed);
    let mut settled = vec![0.0; lambda.len()];
    structure.factor_into(&signed, &mut settled);
    // Without variance a column's correlations are unknown.
    let known = structure.sds().iter().all(|&i| natural.value(Natural::Sd(i)) > 0.0);
    for other in [signed.clone(), if known { structure.theta_of(&settled) } else { signed }] {
        let mut again = vec![0.0; lambda.len()];
        structure.factor_into(&other, &mut again);
        let (a, b) = (sigma(&lambda, size), sigma(&again, size));
        for i in 0..size {
            for j in 0..size {
                let scale = (a[i * size + i] * a[j * size + j]).sqrt();
                let off = (a[i * size + j] - b[i * size + j]).abs();
                assert!(off <= 1e-6 * scale, "Sigma {a:?} comes back as {b:?}: {at}");
            }
        }
    }
    structure.idle(&theta);
}

fn sigma(lambda: &[f64], p: usize) -> Vec<f64> {
    let mut out = vec![0.0; p * p];
    for column in lambda.chunks_exact(p) {
        for i in 0..p {
            for j in 0..p {
                out[i * p + j] += column[i] * column[j];
            }
        }
    }
    out
}
