//! One side of a profile: where zeta reaches a level, by safeguarded inverse interpolation.
use super::Limit;

/// |zeta| is found to this much of the level.
const TOLERANCE: f64 = 5e-5;
const FAILED: &str = "the search for the other parameters failed";
/// Searches at most for one end.
const SEARCHES: usize = 25;
/// A point with this much higher a likelihood than the estimate's means that the estimate is not the maximum.
const HIGHER: f64 = 1e-4;
/// Steps that are halved because the search for the other parameters failed, before the end is given up.
const STUMBLES: usize = 6;
/// atanh of a correlation that counts as one.
const ONE: f64 = 8.0;

/// The scale on which zeta is close to linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Identity,
    Log,
    Fisher,
}

impl Scale {
    fn to(self, t: f64) -> f64 {
        match self {
            Self::Identity => t,
            Self::Log => t.ln(),
            Self::Fisher => t.atanh(),
        }
    }

    fn back(self, s: f64) -> f64 {
        match self {
            Self::Identity => s,
            Self::Log => s.exp(),
            Self::Fisher => s.tanh(),
        }
    }

    fn slope(self, t: f64) -> f64 {
        match self {
            Self::Identity => 1.0,
            Self::Log => 1.0 / t,
            Self::Fisher => 1.0 / (1.0 - t * t),
        }
    }
}

/// What is asked for.
pub(super) struct Side {
    pub estimate: f64,
    /// About one standard error.
    pub spread: f64,
    pub scale: Scale,
    pub direction: f64,
    pub level: f64,
    pub inner: usize,
    /// |zeta| where the parameter is zero.
    pub edge: Option<f64>,
}

/// Finds the end and the inner points. `rise` gives half D(t) - D(estimate), `None` where the search fails.
pub(super) fn walk(side: &Side, rise: &mut dyn FnMut(f64) -> Option<f64>) -> (Vec<(f64, f64)>, Limit) {
    let (scale, direction, level) = (side.scale, side.direction, side.level);
    let centre = scale.to(side.estimate);
    // Distance from the estimate on the scale of `scale`, and |zeta| there.
    let mut known = vec![(0.0, 0.0)];
    let mut at = |distance: f64| -> Result<f64, &'static str> {
        let half = rise(scale.back(centre + direction * distance)).ok_or(FAILED)?;
        if half < -HIGHER {
            return Err("a higher likelihood than the estimate's was found: fit again from another start");
        }
        Ok((2.0 * half.max(0.0)).sqrt())
    };
    let mut stumbles = 0;
    let points = |known: &[(f64, f64)]| {
        let mut out: Vec<(f64, f64)> = known[1..]
            .iter()
            .map(|(distance, zeta)| (scale.back(centre + direction * distance), direction * zeta))
            .collect();
        if let Some(zeta) = side.edge.filter(|zeta| *zeta < level) {
            out.push((0.0, -zeta));
        }
        out
    };
    let reach = match side.edge {
        Some(zeta) if zeta < level => 0.9 * zeta,
        _ => level,
    };
    let (mut inside, mut outside) = (0.0, f64::INFINITY);
    let mut distance = reach * side.spread * scale.slope(side.estimate);
    let mut limit = Limit::missing("the likelihood does not fall to the level of the interval");
    for _ in 0..SEARCHES {
        if scale == Scale::Fisher && (centre + direction * distance).abs() > ONE {
            distance = direction * (direction * ONE - centre);
            if inside >= distance {
                limit = Limit { value: direction, note: "the interval reaches the edge" };
                break;
            }
        }
        let zeta = match at(distance) {
            Ok(zeta) => zeta,
            // A long step can leave the space of the other parameters (thresholds out of order); from a nearer point, to
            // which they have moved along, the next one does not.
            Err(FAILED) if stumbles < STUMBLES => {
                stumbles += 1;
                distance = 0.5 * (inside + distance);
                continue;
            }
            Err(note) => {
                limit = Limit::missing(note);
                break;
            }
        };
        known.push((distance, zeta));
        known.sort_by(|a, b| a.0.total_cmp(&b.0));
        if (zeta - reach).abs() < TOLERANCE * level {
            limit = Limit { value: scale.back(centre + direction * distance), note: "" };
            break;
        }
        if zeta < reach {
            inside = distance.max(inside);
        } else {
            outside = distance.min(outside);
        }
        let farthest = if outside.is_finite() { outside } else { 3.0 * distance };
        let guess = inverse(&known, reach);
        distance = if guess > inside && guess < farthest {
            guess
        } else if outside.is_finite() {
            0.5 * (inside + outside)
        } else {
            farthest
        };
    }
    if side.edge.is_some_and(|zeta| zeta < level) {
        limit = Limit { value: 0.0, note: "zero is inside the interval" };
    }
    if limit.note.is_empty() || !limit.value.is_nan() {
        let farthest = known.last().map_or(0.0, |last| last.1.min(reach));
        for step in 1..=side.inner {
            let target = farthest * step as f64 / (side.inner + 1) as f64;
            let guess = inverse(&known, target);
            match at(guess) {
                Ok(zeta) if guess > 0.0 => known.push((guess, zeta)),
                _ => break,
            }
            known.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
    }
    (points(&known), limit)
}

/// The distance at which zeta is `target`: the quadratic through the three nearest points, with zeta as its argument;
/// the line through the nearest two where that is not increasing.
fn inverse(known: &[(f64, f64)], target: f64) -> f64 {
    let mut near = known.to_vec();
    near.sort_by(|a, b| (a.1 - target).abs().total_cmp(&(b.1 - target).abs()));
    near.truncate(3);
    let line = |a: (f64, f64), b: (f64, f64)| a.0 + (target - a.1) * (b.0 - a.0) / (b.1 - a.1);
    if near.len() < 3 {
        return line(near[0], near[1]);
    }
    let (a, b, c) = (near[0], near[1], near[2]);
    let quadratic = a.0 * (target - b.1) * (target - c.1) / ((a.1 - b.1) * (a.1 - c.1))
        + b.0 * (target - a.1) * (target - c.1) / ((b.1 - a.1) * (b.1 - c.1))
        + c.0 * (target - a.1) * (target - b.1) / ((c.1 - a.1) * (c.1 - b.1));
    let straight = line(a, b);
    let between = a.0.min(b.0)..=a.0.max(b.0);
    let enclosed = (a.1 - target) * (b.1 - target) < 0.0;
    if !quadratic.is_finite() || (enclosed && !between.contains(&quadratic)) { straight } else { quadratic }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(scale: Scale, edge: Option<f64>) -> Side {
        Side { estimate: 2.0, spread: 0.3, scale, direction: -1.0, level: 1.96, inner: 2, edge }
    }

    #[test]
    fn the_end_of_a_curved_profile_is_found() {
        // zeta = 4 log(2 / t) + 0.5 log(2 / t)^2.
        let zeta = |t: f64| 4.0 * (2.0 / t).ln() + 0.5 * (2.0 / t).ln().powi(2);
        let (points, limit) = walk(&side(Scale::Identity, None), &mut |t| (t > 0.0).then(|| 0.5 * zeta(t).powi(2)));
        assert_eq!(limit.note, "");
        assert!((zeta(limit.value) - 1.96).abs() < 1e-3, "{}", limit.value);
        assert!(points.iter().all(|(t, z)| (z + zeta(*t)).abs() < 1e-9));
    }

    #[test]
    fn an_end_that_one_step_does_not_reach_is_reached_in_several() {
        let mut last: f64 = 2.0;
        let (_, limit) = walk(&side(Scale::Identity, None), &mut |t| {
            let near = (t - last).abs() < 0.4;
            if near {
                last = t;
            }
            near.then(|| 0.5 * ((2.0 - t) / 0.3).powi(2))
        });
        assert_eq!(limit.note, "");
        assert!((limit.value - (2.0 - 0.3 * 1.96)).abs() < 1e-3, "{}", limit.value);
        let (_, limit) = walk(&side(Scale::Identity, None), &mut |_| None);
        assert_eq!(limit.note, FAILED);
    }

    #[test]
    fn zero_is_the_end_where_the_profile_does_not_reach_the_level() {
        let zeta = |t: f64| 0.7 * (2.0 - t);
        let (_, limit) = walk(&side(Scale::Log, Some(1.4)), &mut |t| Some(0.5 * zeta(t).powi(2)));
        assert_eq!((limit.value, limit.note), (0.0, "zero is inside the interval"));
    }

    #[test]
    fn a_failed_search_is_told() {
        let (_, limit) = walk(&side(Scale::Identity, None), &mut |_| None);
        assert!(limit.value.is_nan() && limit.note.contains("failed"));
        let (_, limit) = walk(&side(Scale::Identity, None), &mut |_| Some(-1.0));
        assert!(limit.value.is_nan() && limit.note.contains("higher likelihood"));
    }
}
