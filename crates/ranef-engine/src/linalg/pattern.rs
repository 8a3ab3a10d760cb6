//! Where the blocks of M are: the levels of each grouping factor, and which levels of two factors meet in a row.
use super::PARALLEL_ROWS;
use rayon::prelude::*;

/// The levels of two grouping factors that share at least one row of data.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The factor of the block rows (the one with more levels).
    pub first: usize,
    /// The factor of the block columns.
    pub second: usize,
    /// Level l of `first` owns the slots `ptr[l]..ptr[l + 1]`.
    pub ptr: Vec<usize>,
    /// The level of `second` in each slot, ascending within a level of `first`.
    pub second_level: Vec<u32>,
    /// The slot that each row of data adds to.
    pub slot_of_row: Vec<u32>,
}

impl Pair {
    /// Whether it joins levels of one factor, which meet in no row of data.
    pub fn is_own(&self) -> bool {
        self.first == self.second
    }

    /// Number of blocks.
    pub fn n_slots(&self) -> usize {
        self.second_level.len()
    }

    fn new(first: (usize, &[u32], usize), second: (usize, &[u32], usize)) -> Self {
        let (first, codes_first, levels_first) = first;
        let (second, codes_second, levels_second) = second;
        // Two stable counting sorts put the rows in the order of (first, second) in linear time.
        let by_second = counting_sort(0..codes_second.len() as u32, codes_second, levels_second);
        let rows = counting_sort(by_second.into_iter(), codes_first, levels_first);
        let mut pair = Self {
            first,
            second,
            ptr: vec![0; levels_first + 1],
            second_level: Vec::new(),
            slot_of_row: vec![0; rows.len()],
        };
        let mut previous = None;
        for row in rows {
            let row = row as usize;
            let key = (codes_first[row], codes_second[row]);
            if previous != Some(key) {
                pair.second_level.push(key.1);
                pair.ptr[key.0 as usize + 1] += 1;
                previous = Some(key);
            }
            pair.slot_of_row[row] = pair.second_level.len() as u32 - 1;
        }
        for level in 0..levels_first {
            pair.ptr[level + 1] += pair.ptr[level];
        }
        pair
    }
}

/// The rows in `order`, stably sorted by their code.
fn counting_sort(order: impl Iterator<Item = u32>, codes: &[u32], levels: usize) -> Vec<u32> {
    let mut next = vec![0usize; levels + 1];
    for &code in codes {
        next[code as usize + 1] += 1;
    }
    for level in 0..levels {
        next[level + 1] += next[level];
    }
    let mut sorted = vec![0; codes.len()];
    for row in order {
        let place = &mut next[codes[row as usize] as usize];
        sorted[*place] = row;
        *place += 1;
    }
    sorted
}

/// How the effects of a factor's levels depend on each other before any data.
#[derive(Clone, Debug, Default)]
pub enum Tie {
    /// Not at all: each level stands alone, with precision 1.
    #[default]
    None,
    /// Not at all, and without any precision of their own: effects that are not penalised. Data must determine them.
    Free,
    /// Through a sparse precision, by the neighbours that each level has.
    Precision(Neighbours),
    /// Through a dense correlation within blocks of consecutive levels; where each block begins, and their end.
    Correlation(Vec<usize>),
}

/// The entries of a sparse symmetric matrix left of its diagonal.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Level l owns the entries `ptr[l]..ptr[l + 1]`.
    pub ptr: Vec<usize>,
    /// The neighbour in each entry: lower than the level, ascending.
    pub lower: Vec<u32>,
}

/// The block pattern of a model: built once from the grouping codes, shared by every matrix on it.
#[derive(Clone, Debug)]
pub struct Pattern {
    levels: Vec<usize>,
    border: usize,
    pairs: Vec<Pair>,
    ties: Vec<Tie>,
}

impl Pattern {
    /// The pattern of grouping factors given by the level of each row and their number of levels, with `border`
    /// dense columns.
    ///
    /// # Panics
    /// When a code is not below its number of levels, or the factors differ in their number of rows.
    pub fn new(groups: &[(&[u32], usize)], border: usize) -> Self {
        for (f, (codes, levels)) in groups.iter().enumerate() {
            assert_eq!(codes.len(), groups[0].0.len(), "grouping factor {f} has another number of rows");
            assert!(codes.iter().all(|&code| (code as usize) < *levels), "grouping factor {f} has a code >= {levels}");
        }
        let both: Vec<(usize, usize)> =
            (0..groups.len()).flat_map(|f| (f + 1..groups.len()).map(move |g| (f, g))).collect();
        let pair = |(f, g): (usize, usize)| {
            let (first, second) = if groups[f].1 >= groups[g].1 { (f, g) } else { (g, f) };
            let factor = |f: usize| (f, groups[f].0, groups[f].1);
            Pair::new(factor(first), factor(second))
        };
        let n_rows = groups.first().map_or(0, |group| group.0.len());
        let pairs = if n_rows < PARALLEL_ROWS {
            both.into_iter().map(pair).collect()
        } else {
            both.into_par_iter().map(pair).collect()
        };
        let ties = groups.iter().map(|_| Tie::None).collect();
        Self { levels: groups.iter().map(|group| group.1).collect(), border, pairs, ties }
    }

    /// The same pattern with dependence between the levels of each factor. A sparse precision adds a pair of the factor
    /// with itself, in which no row of data has a slot.
    #[must_use]
    pub fn tied(mut self, ties: Vec<Tie>) -> Self {
        for (f, tie) in ties.iter().enumerate() {
            if let Tie::Precision(neighbours) = tie {
                self.pairs.push(Pair {
                    first: f,
                    second: f,
                    ptr: neighbours.ptr.clone(),
                    second_level: neighbours.lower.clone(),
                    slot_of_row: Vec::new(),
                });
            }
        }
        self.ties = ties;
        self
    }

    /// How the levels of factor f depend on each other.
    pub fn tie(&self, f: usize) -> &Tie {
        &self.ties[f]
    }

    /// The pair of a factor with itself, where it has one.
    pub fn own_pair(&self, f: usize) -> Option<usize> {
        self.pairs.iter().position(|pair| (pair.first, pair.second) == (f, f))
    }

    /// Number of grouping factors.
    pub fn n_factors(&self) -> usize {
        self.levels.len()
    }

    /// Number of levels of factor f.
    pub fn levels(&self, f: usize) -> usize {
        self.levels[f]
    }

    /// Number of dense border columns.
    pub fn border(&self) -> usize {
        self.border
    }

    /// The pairs of factors, each unordered pair once.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Where the effects of each factor begin in a vector, with `widths[f]` effects for each level of factor f; the
    /// last entry is where the border begins.
    pub fn offsets(&self, widths: &[usize]) -> Vec<usize> {
        let mut offsets = vec![0];
        for (f, levels) in self.levels.iter().enumerate() {
            offsets.push(offsets[f] + levels * widths[f]);
        }
        offsets
    }
}
