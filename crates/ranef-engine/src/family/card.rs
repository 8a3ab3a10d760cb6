//! What a family says about itself: read by error messages, the reference page and Python.

use crate::link::{Domain, Link};

/// The part of the model a linear predictor drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The mean of the distribution (of its non-inflated part).
    Cond,
    /// The probability of a structural zero.
    Zi,
    /// The dispersion parameter φ.
    Disp,
    /// A further shape parameter ψ.
    Shape,
    /// The cut points of an ordinal family, on the scale of the mean's predictor.
    Threshold,
}

impl Component {
    /// The name users write: `cond`, `zi`, `disp`, `shape`, `threshold`.
    pub fn as_str(self) -> &'static str {
        match self {
            Component::Cond => "cond",
            Component::Zi => "zi",
            Component::Disp => "disp",
            Component::Shape => "shape",
            Component::Threshold => "threshold",
        }
    }
}

/// One parameter of a family and the predictor that drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its symbol, spelled out: `mu`, `phi`, `psi`.
    pub name: &'static str,
    /// Which linear predictor it belongs to.
    pub component: Component,
    /// Its (default) link.
    pub link: Link,
    /// What it means, in a phrase.
    pub meaning: &'static str,
}

/// The values a response may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Any real number.
    Real,
    /// Numbers above zero.
    Positive,
    /// Zero and the numbers above it.
    NonNegative,
    /// 0, 1, 2, …
    Counts,
    /// 0, 1, …, N out of N trials.
    Trials,
    /// Numbers strictly between 0 and 1.
    Unit,
    /// Ordered categories, coded 1, 2, …
    Ordered,
}

impl Support {
    /// The name in reference tables: `real`, `positive`, `counts`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Support::Real => "real",
            Support::Positive => "positive",
            Support::NonNegative => "nonnegative",
            Support::Counts => "counts",
            Support::Trials => "trials",
            Support::Unit => "unit",
            Support::Ordered => "ordered",
        }
    }

    /// Whether the distribution is discrete (its density is a probability).
    pub fn discrete(self) -> bool {
        matches!(self, Support::Counts | Support::Trials | Support::Ordered)
    }

    /// Where the mean of such a response lives; for trials, the mean of the proportion.
    pub fn domain(self) -> Domain {
        match self {
            Support::Real | Support::Ordered => Domain::Real,
            Support::Positive | Support::NonNegative | Support::Counts => Domain::Positive,
            Support::Trials | Support::Unit => Domain::Unit,
        }
    }
}

/// The description of a family.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// The name users write.
    pub name: &'static str,
    /// The name in prose.
    pub title: &'static str,
    /// Its parameters in the order of the predictors, the mean first.
    pub parameters: &'static [Parameter],
    /// The links the mean may have, the default first.
    pub links: &'static [Link],
    /// The values a response may take.
    pub support: Support,
    /// Whether a zero-inflation predictor may be added.
    pub zero_inflation: bool,
    /// Where the definition can be read.
    pub reference: &'static str,
    /// The variance, as a formula in the parameters.
    pub variance: &'static str,
}
