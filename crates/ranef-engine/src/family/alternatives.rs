//! Which families take a response that another one has refused.
//!
//! Nothing is listed by hand: every family of the catalogue is asked whether it takes all the values, and of those that
//! do, the ones that take the fewest other values are named.

use super::{CATALOGUE, Family, Support, build};

/// One value of every kind of response: which of them a family takes tells how wide its support is.
const PROBES: [f64; 7] = [-1.5, -1.0, 0.0, 0.3, 1.0, 2.5, 3.0];

/// What would take a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternatives {
    /// The families of the narrowest support that take every value as it is.
    pub families: Vec<&'static str>,
    /// Whether the refusing family takes every value once it has a zero-inflation predictor.
    pub zero_inflation: bool,
}

/// What takes every response that `refused` does not.
pub fn alternatives(refused: &dyn Family, y: &[f64], trials: Option<&[f64]>) -> Alternatives {
    let takes_all = |family: &dyn Family| {
        y.iter().enumerate().all(|(i, &y)| family.check_response(y, trials.map_or(1.0, |trials| trials[i])).is_ok())
    };
    let mut found: Vec<(usize, &'static str)> = CATALOGUE
        .iter()
        // Codes of ordered categories are numbers, but not every whole number is a category.
        .filter(|entry| entry.card.support != Support::Ordered)
        .filter_map(|entry| build(entry.card.name, None, false).ok())
        .filter(|family| takes_all(&**family))
        .map(|family| {
            let width = PROBES.iter().filter(|probe| family.check_response(**probe, 1.0).is_ok()).count();
            (width, family.card().name)
        })
        .collect();
    let narrowest = found.iter().map(|(width, _)| *width).min();
    found.retain(|(width, _)| Some(*width) == narrowest);
    // A truncated distribution's own untruncated form comes first.
    let plain = |name: &str| refused.card().name.ends_with(&format!("_{name}"));
    found.sort_by_key(|(_, name)| !plain(name));
    let zero_inflation = refused.card().zero_inflation
        && build(refused.card().name, Some(refused.links()[0].name()), true).is_ok_and(|family| takes_all(&*family));
    Alternatives { families: found.into_iter().map(|(_, name)| name).collect(), zero_inflation }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_response(name: &str, y: &[f64]) -> Alternatives {
        alternatives(&*build(name, None, false).unwrap(), y, None)
    }

    #[test]
    fn the_narrowest_support_is_named() {
        let real = for_response("poisson", &[1.0, -2.0]);
        assert!(real.families.contains(&"gaussian") && !real.zero_inflation);
        let positive = for_response("poisson", &[1.0, 2.5]);
        assert!(positive.families.contains(&"gamma") && !positive.families.contains(&"gaussian"));
        let counts = for_response("binomial", &[0.0, 1.0, 2.0]);
        assert!(counts.families.contains(&"poisson") && !counts.families.contains(&"gaussian"));
    }

    #[test]
    fn inflation_takes_the_zeros_of_a_positive_family() {
        assert!(for_response("gamma", &[0.0, 2.5]).zero_inflation);
        assert!(!for_response("gamma", &[-1.0, 2.5]).zero_inflation);
    }
}
