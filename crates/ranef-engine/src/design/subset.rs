//! A design of some of its rows, in the coordinates of all of them.
use super::{Column, Design, Fixed, Grouping};
use std::sync::Arc;

/// A design of some rows, and which levels it has.
pub struct Subset {
    /// Coefficients and theta are those of the whole design: nothing is rotated or scaled anew.
    pub design: Design,
    /// For each grouping factor, the levels of the whole design that are left, by their new number. Coupled levels all
    /// stay, as their dependence is between all of them.
    pub levels: Vec<Vec<usize>>,
}

impl Design {
    /// The design of some rows, in their order.
    pub fn of_rows(&self, rows: &[usize]) -> Subset {
        let mut levels = Vec::with_capacity(self.groupings.len());
        let groupings: Vec<Grouping> = self
            .groupings
            .iter()
            .enumerate()
            .map(|(f, grouping)| {
                let codes: Vec<usize> = rows.iter().map(|&i| grouping.codes[i] as usize).collect();
                let mut left: Vec<usize> = codes.clone();
                if self.template.coupling(f).is_some() {
                    left = (0..grouping.levels).collect();
                } else {
                    left.sort_unstable();
                    left.dedup();
                }
                let new = |level: usize| left.binary_search(&level).expect("levels of these rows are left") as u32;
                let columns = grouping.columns.iter().map(|column| match column {
                    Column::One => Column::One,
                    Column::Values(z) => Column::Values(rows.iter().map(|&i| z[i]).collect()),
                });
                let grouping = Grouping {
                    codes: codes.into_iter().map(new).collect(),
                    levels: left.len(),
                    columns: columns.collect(),
                    predictors: grouping.predictors.clone(),
                };
                levels.push(left);
                grouping
            })
            .collect();
        let mut q = 0;
        let mut offsets = Vec::with_capacity(groupings.len());
        for grouping in &groupings {
            offsets.push(q);
            q += grouping.levels * grouping.width();
        }
        let design = Self {
            n: rows.len(),
            fixed: self.fixed.iter().map(|fixed: &Fixed| fixed.of_rows(rows)).collect(),
            groupings: Arc::new(groupings),
            places: self.places.clone(),
            template: self.template.clone(),
            offsets,
            q,
            assumptions: self.assumptions.clone(),
        };
        Subset { design, levels }
    }
}
