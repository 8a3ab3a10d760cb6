//! The template of a model: the theta of all terms, laid out behind one another, to one factor Lambda_f for each
//! grouping factor; and the theta of couplings, which come last.
//!
//! Terms on the same grouping factor are merged into one block per level, whose Lambda_f is block-diagonal over the
//! terms (p_f x r_f, column-major). Levels share it: b_(f,l) = Lambda_f u_(f,l).
use super::Covariance;
use super::coupling::Coupling;
use crate::linalg::Tie;
use std::sync::Arc;

/// Where a term sits inside its grouping factor's block, and inside theta.
#[derive(Clone, Debug)]
struct Slot {
    covariance: Arc<dyn Covariance>,
    factor: usize,
    row: usize,
    column: usize,
    theta: usize,
}

/// The map from theta to the factors of all grouping factors, and to the dependence between their levels.
#[derive(Clone, Debug)]
pub struct Template {
    slots: Vec<Slot>,
    widths: Vec<usize>,
    ranks: Vec<usize>,
    /// Length of the theta of Lambda.
    n_factor: usize,
    n_theta: usize,
    /// For each grouping factor its coupling and where the coupling's theta begins.
    couplings: Vec<Option<(Arc<dyn Coupling>, usize)>>,
    /// Whether the last grouping factor's effects are free: not random at all.
    free: bool,
}

/// A parameter of a covariance that is linear in its parameters.
#[derive(Clone, Debug)]
pub struct LinearEntry {
    /// The grouping factor.
    pub factor: usize,
    /// What it multiplies in every level, p_f x p_f.
    pub matrix: Vec<f64>,
    /// A row and column of Sigma_f that is this parameter.
    pub place: (usize, usize),
}

/// What one theta is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// Parameter `m` of a term's Lambda.
    Factor {
        /// The term.
        term: usize,
        /// Its index within the term.
        m: usize,
    },
    /// Parameter `m` of a grouping factor's coupling.
    Coupling {
        /// The grouping factor.
        factor: usize,
        /// Its index within the coupling.
        m: usize,
    },
}

impl Template {
    /// The template of `terms`, each a structure with the index of its (merged) grouping factor; in a block, terms
    /// stand in the order given here.
    pub fn new(terms: Vec<(Box<dyn Covariance>, usize)>, n_factors: usize) -> Self {
        let (mut widths, mut ranks, mut n_theta) = (vec![0; n_factors], vec![0; n_factors], 0);
        let slots = terms
            .into_iter()
            .map(|(covariance, factor)| {
                let slot = Slot {
                    factor,
                    row: widths[factor],
                    column: ranks[factor],
                    theta: n_theta,
                    covariance: covariance.into(),
                };
                widths[factor] += slot.covariance.size();
                ranks[factor] += slot.covariance.rank();
                n_theta += slot.covariance.n_theta();
                slot
            })
            .collect();
        let couplings = widths.iter().map(|_| None).collect();
        Self { slots, widths, ranks, n_factor: n_theta, n_theta, couplings, free: false }
    }

    /// The same with dependence between the levels of some grouping factors.
    #[must_use]
    pub fn coupled(mut self, couplings: Vec<Option<Box<dyn Coupling>>>) -> Self {
        self.couplings = couplings
            .into_iter()
            .map(|coupling| {
                let coupling: Arc<dyn Coupling> = coupling?.into();
                let first = self.n_theta;
                self.n_theta += coupling.parameters().len();
                Some((coupling, first))
            })
            .collect();
        self
    }

    /// The same with one more grouping factor, whose `width` effects at each level are free of any distribution: Lambda
    /// is the identity and there is no prior precision.
    #[must_use]
    pub fn with_free(mut self, width: usize) -> Self {
        self.widths.push(width);
        self.ranks.push(width);
        self.couplings.push(None);
        self.free = true;
        self
    }

    /// The coupling of a grouping factor's levels.
    pub fn coupling(&self, factor: usize) -> Option<&dyn Coupling> {
        self.couplings[factor].as_ref().map(|(coupling, _)| &**coupling)
    }

    /// Whether any levels are coupled.
    pub fn is_coupled(&self) -> bool {
        self.couplings.iter().any(Option::is_some)
    }

    /// The part of theta that belongs to a grouping factor's coupling.
    pub fn coupling_range(&self, factor: usize) -> std::ops::Range<usize> {
        self.couplings[factor].as_ref().map_or(0..0, |(coupling, first)| *first..first + coupling.parameters().len())
    }

    /// How the levels of each grouping factor depend on each other.
    pub fn ties(&self) -> Vec<Tie> {
        let tie = |c: &Option<(Arc<dyn Coupling>, usize)>| {
            c.as_ref().map_or(Tie::None, |(coupling, _)| coupling.form().tie())
        };
        let mut ties: Vec<Tie> = self.couplings.iter().map(tie).collect();
        if let (true, Some(last)) = (self.free, ties.last_mut()) {
            *last = Tie::Free;
        }
        ties
    }

    /// What theta_m is.
    pub fn parameter(&self, m: usize) -> Parameter {
        if m < self.n_factor {
            let term = self.term_of(m);
            return Parameter::Factor { term, m: m - self.slots[term].theta };
        }
        let factor = (0..self.couplings.len()).find(|&f| self.coupling_range(f).contains(&m));
        let factor = factor.expect("m is an index into theta");
        Parameter::Coupling { factor, m: m - self.coupling_range(factor).start }
    }

    /// Length of the theta of Lambda; that of couplings comes after it.
    pub fn n_factor(&self) -> usize {
        self.n_factor
    }

    /// Length of theta over all terms.
    pub fn n_theta(&self) -> usize {
        self.n_theta
    }

    /// Number of terms.
    pub fn n_terms(&self) -> usize {
        self.slots.len()
    }

    /// p_f, the number of columns of each grouping factor's block.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// r_f, the number of standardised effects u of each grouping factor's block.
    pub fn ranks(&self) -> &[usize] {
        &self.ranks
    }

    /// The structure of a term.
    pub fn covariance(&self, term: usize) -> &dyn Covariance {
        &*self.slots[term].covariance
    }

    /// The grouping factor of a term.
    pub fn factor_of(&self, term: usize) -> usize {
        self.slots[term].factor
    }

    /// First row and first column of a term inside its factor's Lambda.
    pub fn position(&self, term: usize) -> (usize, usize) {
        (self.slots[term].row, self.slots[term].column)
    }

    /// The part of theta that belongs to a term.
    pub fn theta_range(&self, term: usize) -> std::ops::Range<usize> {
        let slot = &self.slots[term];
        slot.theta..slot.theta + slot.covariance.n_theta()
    }

    /// The term that owns theta_m, or whose levels it couples.
    pub fn term_of(&self, m: usize) -> usize {
        let own = |&term: &usize| {
            self.theta_range(term).contains(&m) || self.coupling_range(self.slots[term].factor).contains(&m)
        };
        (0..self.slots.len()).find(own).expect("m is an index into theta")
    }

    /// Lambda of one term, p_t x r_t column-major.
    pub fn term_factor(&self, term: usize, theta: &[f64]) -> Vec<f64> {
        let covariance = self.covariance(term);
        let mut lambda = vec![0.0; covariance.size() * covariance.rank()];
        covariance.factor_into(&theta[self.theta_range(term)], &mut lambda);
        lambda
    }

    /// Lambda_f of every grouping factor, p_f x r_f column-major.
    pub fn factors(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let mut factors: Vec<Vec<f64>> = self.widths.iter().zip(&self.ranks).map(|(p, r)| vec![0.0; p * r]).collect();
        for (term, slot) in self.slots.iter().enumerate() {
            self.place(slot, &self.term_factor(term, theta), &mut factors[slot.factor]);
        }
        if let (true, Some(last), Some(width)) = (self.free, factors.last_mut(), self.widths.last()) {
            (0..*width).for_each(|a| last[a * width + a] = 1.0);
        }
        factors
    }

    /// dLambda_f / dtheta_m for the one grouping factor f it concerns.
    pub fn derivative(&self, theta: &[f64], m: usize) -> (usize, Vec<f64>) {
        let term = self.term_of(m);
        let (slot, range) = (&self.slots[term], self.theta_range(term));
        let mut small = vec![0.0; slot.covariance.size() * slot.covariance.rank()];
        slot.covariance.derivative_into(&theta[range.clone()], m - range.start, &mut small);
        let mut large = vec![0.0; self.widths[slot.factor] * self.ranks[slot.factor]];
        self.place(slot, &small, &mut large);
        (slot.factor, large)
    }

    /// d objective / d theta from d objective / d Lambda_f of every grouping factor.
    pub fn chain(&self, theta: &[f64], g: &[Vec<f64>], out: &mut [f64]) {
        out.fill(0.0);
        for (term, slot) in self.slots.iter().enumerate() {
            let (small, range) = (self.term_block(term, &g[slot.factor]), self.theta_range(term));
            slot.covariance.chain(&theta[range.clone()], &small, &mut out[range]);
        }
    }

    /// d objective / d Lambda of one term, p_t x r_t, from that of its grouping factor.
    pub fn term_block(&self, term: usize, factor: &[f64]) -> Vec<f64> {
        let slot = &self.slots[term];
        let (p, width) = (slot.covariance.size(), self.widths[slot.factor]);
        (0..slot.covariance.rank())
            .flat_map(|column| factor[(slot.column + column) * width + slot.row..][..p].iter().copied())
            .collect()
    }

    /// The matrices whose combinations are the Sigma_f of the grouping factors, each with its factor and the place in Sigma_f
    /// where its coefficient stands: zeros and ones, p_f x p_f. `None` where a Sigma is not linear in its parameters.
    pub fn linear_entries(&self) -> Option<Vec<LinearEntry>> {
        let mut entries = Vec::new();
        for slot in &self.slots {
            let (p, width) = (slot.covariance.size(), self.widths[slot.factor]);
            for basis in slot.covariance.linear_basis()? {
                let mut entry = LinearEntry { factor: slot.factor, matrix: vec![0.0; width * width], place: (0, 0) };
                for (at, _) in basis.iter().enumerate().filter(|(_, one)| **one != 0.0) {
                    entry.place = (slot.row + at % p, slot.row + at / p);
                    entry.matrix[entry.place.1 * width + entry.place.0] = 1.0;
                }
                entries.push(entry);
            }
        }
        Some(entries)
    }

    /// Theta of Lambda times a constant.
    pub fn times(&self, theta: &[f64], constant: f64) -> Vec<f64> {
        let times = |(m, value): (usize, &f64)| match self.parameter(m) {
            Parameter::Factor { .. } => constant.powf(self.degree(m)) * value,
            Parameter::Coupling { .. } => *value,
        };
        theta.iter().enumerate().map(times).collect()
    }

    /// The power of a constant by which theta_m is multiplied when Lambda is multiplied by it.
    pub fn degree(&self, m: usize) -> f64 {
        let term = self.term_of(m);
        self.covariance(term).scaling(m - self.slots[term].theta).1
    }

    /// The entry (factor, row, column) of Lambda that theta_m is, for structures linear in Lambda.
    pub fn entry(&self, m: usize) -> Option<(usize, usize, usize)> {
        if m >= self.n_factor {
            return None;
        }
        let term = self.term_of(m);
        let slot = &self.slots[term];
        let (row, column) = slot.covariance.entry(m - slot.theta)?;
        Some((slot.factor, slot.row + row, slot.column + column))
    }

    fn place(&self, slot: &Slot, small: &[f64], large: &mut [f64]) {
        let (p, width) = (slot.covariance.size(), self.widths[slot.factor]);
        for column in 0..slot.covariance.rank() {
            let to = (slot.column + column) * width + slot.row;
            large[to..to + p].copy_from_slice(&small[column * p..(column + 1) * p]);
        }
    }
}
