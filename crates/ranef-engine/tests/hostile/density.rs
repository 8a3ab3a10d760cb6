//! A family at any response, any number of trials and any predictors.

use super::bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use ranef_engine::family::{self, CATALOGUE, Derivatives, Family, Kind, Ordinal, Rows, Support, Thresholds};

/// Above it neighbouring whole numbers are the same number.
const LARGEST_COUNT: f64 = 9.007_199_254_740_992e15;
/// Predictors further out than this overflow in the exponential function.
const OVERFLOWS: f64 = 700.0;

/// A family of the catalogue with any of its links, perhaps with zero inflation.
pub fn any_family(bytes: &mut Bytes) -> Box<dyn Family> {
    let card = CATALOGUE[bytes.below(CATALOGUE.len())].card;
    let link = bytes.pick(card.links);
    let ordinal = Ordinal {
        categories: 2 + bytes.below(4),
        thresholds: bytes.pick(&[Thresholds::Flexible, Thresholds::Symmetric, Thresholds::Equidistant]),
    };
    let zero_inflated = card.zero_inflation && bytes.flag();
    family::build_ordinal(card.name, Some(link.name()), zero_inflated, ordinal).expect("in the catalogue")
}

/// A response that is likely one of the family's.
pub fn any_response(bytes: &mut Bytes, support: Support) -> (f64, f64) {
    if bytes.below(8) == 0 {
        return (bytes.real(), bytes.real());
    }
    let whole = |bytes: &mut Bytes| match bytes.below(3) {
        0 => f64::from(bytes.byte()),
        1 => f64::from(u16::from_le_bytes([bytes.byte(), bytes.byte()])),
        _ => bytes.real().abs().floor(),
    };
    let unit = |bytes: &mut Bytes| match bytes.below(3) {
        0 => bytes.pick(&[0.0, 1.0, 5e-324, f64::EPSILON, 1.0 - f64::EPSILON / 2.0, 0.5]),
        1 => f64::from(bytes.byte()) / 256.0,
        _ => {
            let value = bytes.real().abs();
            value / (1.0 + value)
        }
    };
    match support {
        Support::Real => (bytes.real(), 1.0),
        Support::Positive | Support::NonNegative => (bytes.real().abs(), 1.0),
        Support::Counts | Support::PositiveCounts => (whole(bytes), 1.0),
        Support::Trials => {
            let trials = whole(bytes);
            ((unit(bytes) * trials).round(), trials)
        }
        Support::Unit | Support::ClosedUnit => (unit(bytes), 1.0),
        Support::Ordered => (1.0 + bytes.below(6) as f64, 1.0),
    }
}

/// No number that the family gives is NaN where its predictors are feasible.
pub fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let family = any_family(&mut bytes);
    let (y, trials) = any_response(&mut bytes, family.card().support);
    if !(1.0..=LARGEST_COUNT).contains(&trials) || trials.fract() != 0.0 || family.check_response(y, trials).is_err() {
        return;
    }
    let k = family.components().len();
    let eta: Vec<f64> = (0..k).map(|_| if bytes.flag() { bytes.ordinary() } else { bytes.real() }).collect();
    let at = format!("{} {:?} of {y:e} in {trials:e} at {eta:?}", family.card().name, family.links());

    let density = family.log_density(y, trials, &eta);
    assert!(!density.is_nan(), "density {density}: {at}");
    // The probabilities of a generalised Poisson with phi below 1 add up to 1 only nearly.
    let improper = family.card().name.ends_with("genpois");
    if family.card().support.discrete() && trials <= 1e6 && !improper {
        assert!(density <= 1e-6, "a log probability of {density}: {at}");
    }
    let (ys, of) = ([y], [trials]);
    let columns: Vec<&[f64]> = eta.chunks(1).collect();
    let rows = Rows { y: &ys, trials: Some(&of), eta: &columns };
    for jets in [false, true] {
        let mut out = Derivatives::default();
        out.resize(k, 1, 3);
        if jets {
            family.fill_by_jets(rows, 3, &mut out)
        } else {
            family.fill(rows, 3, &mut out)
        }
        assert!(!out.value[0].is_nan(), "value {}: {at}", out.value[0]);
        for (order, block) in [&out.first, &out.second, &out.third].into_iter().enumerate() {
            assert!(block.iter().all(|d| d[0].is_finite()), "derivatives {} {block:?}: {at}", order + 1);
        }
    }
    let starts = family.start(&[y, y], Some(&[trials, trials]), None, None);
    assert!(starts.iter().all(|start| start.is_finite()), "starts {starts:?}: {at}");
    assert!(family.start_mean(y, trials).is_finite(), "start of the mean: {at}");
    let counted = family.card().support.discrete() && y > LARGEST_COUNT;
    if !family.feasible(&eta) || counted || eta.iter().any(|eta| eta.abs() > OVERFLOWS) {
        return;
    }
    for tail in family.tails(y, trials, &eta) {
        assert!((0.0..=1.0 + 1e-9).contains(&tail), "tail {tail}: {at}");
    }
    for kind in [Kind::Response, Kind::Conditional, Kind::ZeroProbability, Kind::Dispersion, Kind::Variance, Kind::Link]
    {
        let mut gradient = vec![0.0; k];
        let value = family.predict(kind, &eta, &mut gradient);
        assert!(kind != Kind::ZeroProbability || (0.0..=1.0).contains(&value), "{kind:?} {value}: {at}");
    }
    family.sample(&eta, trials, &mut ChaCha8Rng::seed_from_u64(1));
}
