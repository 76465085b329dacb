//! Fits columns to a width.
//!
//! If a row is wider than the width, ids and times become short first, then optional columns are left out, then
//! texts are cut, and last the widest values.

use unicode_width::UnicodeWidthStr;

use super::Layout;
use super::shorten::{short_id, short_time};
use super::table::ColumnLayout;

/// Blank columns between two columns.
pub(super) const GAP: usize = 2;

/// Width below which a text is not cut while optional columns can still be left out.
const COMFORTABLE_TEXT: usize = 20;

/// Width below which a text is not cut while other values can still be cut.
const MIN_TEXT: usize = 8;

/// Width below which a wrapped column continues below its row instead.
const MIN_WRAP_WIDTH: usize = 24;

/// A table that is being fitted to a width.
pub(super) struct Fitting {
    pub(super) columns: Vec<ColumnLayout>,
    pub(super) header: bool,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) left_out: Vec<&'static str>,
}

impl Fitting {
    /// The widest value of each column, its title included.
    pub(super) fn widths(&self) -> Vec<usize> {
        let widest = |place: usize, column: &ColumnLayout| {
            let title = if self.header { column.title.width() } else { 0 };
            let cells = self.rows.iter().map(|row| row[place].width());
            cells.max().unwrap_or(0).max(title)
        };
        self.columns
            .iter()
            .enumerate()
            .map(|(place, column)| widest(place, column))
            .collect()
    }

    /// Shortens ids and times.
    pub(super) fn shorten(&mut self, now_year: &str) {
        for row in &mut self.rows {
            for (cell, column) in row.iter_mut().zip(&self.columns) {
                match column.layout {
                    Layout::Id => *cell = short_id(cell).to_owned(),
                    Layout::Time => *cell = short_time(cell, now_year),
                    _ => {}
                }
            }
        }
    }

    /// Leaves out columns and narrows others until the rows fit. A wrapped column for which too little width remains
    /// gets none: its cells continue below their rows.
    pub(super) fn fit(&mut self, mut widths: Vec<usize>, width: usize) -> Vec<usize> {
        while self.rigid_width(&widths) > width {
            let last = (0..self.columns.len())
                .filter(|place| self.columns[*place].optional > 0)
                .max_by_key(|place| (self.columns[*place].optional, *place));
            let Some(place) = last else { break };
            self.left_out.push(self.columns.remove(place).title);
            widths.remove(place);
            for row in &mut self.rows {
                row.remove(place);
            }
        }
        for (place, column) in self.columns.iter().enumerate().rev() {
            if column.layout == Layout::Wrapped && total(&widths) > width {
                let room = width.saturating_sub(total(&widths) - widths[place]);
                widths[place] = if room < MIN_WRAP_WIDTH { 0 } else { room };
            }
        }
        narrow(&self.columns, &mut widths, width);
        widths
    }

    /// Width of the rows with every text at its minimum, without wrapped columns.
    fn rigid_width(&self, widths: &[usize]) -> usize {
        let least = self
            .columns
            .iter()
            .zip(widths)
            .map(|(column, width)| match column.layout {
                Layout::Text => (*width).min(COMFORTABLE_TEXT),
                Layout::Wrapped => 0,
                _ => *width,
            });
        let least: Vec<usize> = least.collect();
        total(&least)
    }
}

/// Narrows texts first, and then always the widest column, until the row fits.
fn narrow(columns: &[ColumnLayout], widths: &mut [usize], width: usize) {
    for (place, column) in columns.iter().enumerate().rev() {
        let over = total(widths).saturating_sub(width);
        if column.layout == Layout::Text && over > 0 {
            let least = widths[place].min(MIN_TEXT);
            widths[place] = widths[place].saturating_sub(over).max(least);
        }
    }
    while total(widths) > width {
        let Some(widest) = widths.iter_mut().max() else {
            return;
        };
        if *widest <= 1 {
            return;
        }
        *widest -= 1;
    }
}

/// Width of a row.
pub(super) fn total(widths: &[usize]) -> usize {
    let columns = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1)
}
