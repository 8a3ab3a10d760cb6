//! What a search did besides searching, for the record: nothing is put right in silence.

/// One thing that was done, with the numbers that say what it was worth.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// There was no likelihood at the start: the search began from smaller variances.
    SmallerStart {
        /// The share of the variances that was left.
        share: f64,
    },
    /// The search found no maximum, as where it falls off the cliff beyond which Laplace's approximation breaks down, and was
    /// begun again from smaller variances.
    Cliff {
        /// What the log likelihood gained.
        gain: f64,
    },
    /// Variances of zero at which the likelihood still rose were set free again.
    Lifted {
        /// How many.
        count: usize,
        /// What the log likelihood gained.
        gain: f64,
    },
    /// The search had ended at a saddle and was continued along the direction in which the likelihood rises.
    Saddle {
        /// The negative eigenvalue of the Hessian with unit diagonal.
        eigenvalue: f64,
        /// What the log likelihood gained.
        gain: f64,
    },
    /// Newton steps with the exact Hessian after the search.
    Polish {
        /// How many.
        steps: usize,
        /// The distance to the optimum before, in standard errors ...
        before: f64,
        /// ... and after.
        after: f64,
    },
    /// What a saved fit told of one.
    Told(String),
    /// Another search, from elsewhere.
    Restart {
        /// Where it began, as a phrase: "from ...".
        from: &'static str,
        /// What the log likelihood gained; negative where the search ended lower, and was dropped.
        gain: f64,
    },
}

impl Remedy {
    /// Whether the likelihood is higher for it.
    pub fn gained(&self) -> bool {
        match self {
            Self::SmallerStart { .. } | Self::Polish { .. } | Self::Told(_) => true,
            Self::Cliff { gain }
            | Self::Lifted { gain, .. }
            | Self::Saddle { gain, .. }
            | Self::Restart { gain, .. } => *gain > SAME,
        }
    }

    /// The gain to be filled in when the search that follows has ended.
    pub(super) fn set_gain(&mut self, found: f64) {
        match self {
            Self::Cliff { gain }
            | Self::Lifted { gain, .. }
            | Self::Saddle { gain, .. }
            | Self::Restart { gain, .. } => {
                *gain = found;
            }
            Self::SmallerStart { .. } | Self::Polish { .. } | Self::Told(_) => {}
        }
    }

    /// What was done, in words.
    pub fn message(&self) -> String {
        match self {
            Self::SmallerStart { share } => {
                format!("no likelihood at the start: begun again from {:.1} % of its variances", 100.0 * share)
            }
            Self::Cliff { gain } => {
                format!("begun again from smaller variances, since no maximum was found: {}", worth(*gain))
            }
            Self::Lifted { count, gain } => {
                let which = if *count == 1 { "a variance".to_owned() } else { format!("{count} variances") };
                format!("set {which} of zero free, where the likelihood still rose: {}", worth(*gain))
            }
            Self::Saddle { eigenvalue, gain } => {
                format!("left a saddle point (eigenvalue {eigenvalue:.1e}): {}", worth(*gain))
            }
            Self::Polish { steps, before, after } => {
                let often = if *steps == 1 { "a Newton step".to_owned() } else { format!("{steps} Newton steps") };
                format!("polished by {often}: from {before:.1e} to {after:.1e} standard errors off the maximum")
            }
            Self::Told(message) => message.clone(),
            Self::Restart { from, gain } => format!("searched again {from}: {}", worth(*gain)),
        }
    }
}

/// Log likelihoods that differ by less are the same.
const SAME: f64 = 1e-6;

/// A positive number, to three digits.
fn plain(value: f64) -> String {
    if (1e-3..1e5).contains(&value) {
        let decimals = (2 - value.log10().floor() as i32).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.1e}")
    }
}

fn worth(gain: f64) -> String {
    if gain > SAME {
        format!("the log-likelihood rose by {}", plain(gain))
    } else if gain < -SAME && gain.is_finite() {
        format!("it ended {} lower and was dropped", plain(-gain))
    } else if gain.is_finite() {
        "it ended at the same log-likelihood".to_owned()
    } else {
        "it found none".to_owned()
    }
}
