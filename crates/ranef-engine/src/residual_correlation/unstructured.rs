//! Unstructured: a correlation of its own for every pair of occasions.
//!
//! R = U U', row i of U being (x_i1, ..., x_i(i-1), 1, 0, ...) divided by its length: every x gives a correlation matrix,
//! and every regular correlation matrix has one x. Rows of a group that miss an occasion take the rest of R.
//!
//! Reference: Pinheiro & Bates (1996), Stat. Comput. 6:289-296, section 2 (the rows of the Cholesky factor).
use super::{Card, Parameter, Places, ResidualCorrelation, Scale};

pub static CARD: Card = Card {
    name: "us",
    title: "unstructured: a correlation for each pair of occasions",
    parameters: "T(T - 1) / 2",
    places: "occasion",
    reference: "Pinheiro & Bates (1996), Stat. Comput. 6:289-296",
};

/// A correlation for each pair of occasions.
#[derive(Debug)]
pub struct Unstructured {
    occasions: usize,
}

impl Unstructured {
    /// For so many occasions.
    pub fn new(occasions: usize) -> Self {
        Self { occasions }
    }

    /// The rows of U, occasions x occasions row after row, and their lengths before the division.
    fn rows(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = self.occasions;
        let (mut u, mut lengths) = (vec![0.0; n * n], vec![1.0; n]);
        let mut rest = x.iter();
        for i in 0..n {
            let row = &mut u[i * n..(i + 1) * n];
            row[..i].iter_mut().zip(rest.by_ref()).for_each(|(slot, x)| *slot = *x);
            row[i] = 1.0;
            lengths[i] = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            row.iter_mut().for_each(|value| *value /= lengths[i]);
        }
        (u, lengths)
    }

    fn product(&self, u: &[f64], a: usize, b: usize) -> f64 {
        let n = self.occasions;
        u[a * n..(a + 1) * n].iter().zip(&u[b * n..(b + 1) * n]).map(|(a, b)| a * b).sum()
    }
}

impl ResidualCorrelation for Unstructured {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn n_parameters(&self) -> usize {
        self.occasions * self.occasions.saturating_sub(1) / 2
    }

    fn start(&self) -> Vec<f64> {
        vec![0.1; self.n_parameters()]
    }

    fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]) {
        let (u, _) = self.rows(x);
        places.fill(r, 1.0, |i, j| {
            // The smaller occasion first, so that rounding is the same in both orders.
            let (a, b) = (places.values[i] as usize, places.values[j] as usize);
            self.product(&u, a.min(b), a.max(b))
        });
    }

    fn derivative_into(&self, x: &[f64], places: Places<'_>, k: usize, derivative: &mut [f64]) {
        let (u, lengths) = self.rows(x);
        let n = self.occasions;
        let row = (1..n).find(|i| k < i * (i + 1) / 2).expect("k is an index into x");
        let column = k - row * (row - 1) / 2;
        places.fill(derivative, 0.0, |i, j| {
            let (a, b) = (places.values[i] as usize, places.values[j] as usize);
            let other = if a == row {
                b
            } else if b == row {
                a
            } else {
                return 0.0;
            };
            // d (l / |l|)_c = (e_c - u u_c) / |l|.
            (u[other * n + column] - self.product(&u, row, other) * u[row * n + column]) / lengths[row]
        });
    }

    fn parameters(&self) -> Vec<Parameter> {
        let pairs = (0..self.occasions).flat_map(|j| (0..j).map(move |i| (i, j)));
        pairs.map(|(i, j)| Parameter::new(format!("cor[{i}][{j}]"), Scale::Fisher)).collect()
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        let (u, _) = self.rows(x);
        let pairs = (0..self.occasions).flat_map(|j| (0..j).map(move |i| (i, j)));
        pairs.map(|(i, j)| self.product(&u, i, j)).collect()
    }
}
