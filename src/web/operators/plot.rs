//! Plots as plain SVG: stacked columns, or bars beside their names. All numbers are integers in attributes,
//! so a plot needs neither a script nor a style of its own; each comes with its figures as a table.

use minijinja::{Value, context};

/// Height in the plot's own units.
const HEIGHT: u64 = 120;
const COLUMN: u64 = 40;
const BAR: u64 = 18;
const LENGTH: u64 = 240;
/// Width of the names of bars.
const NAMES: u64 = 180;

/// One column or bar: its label, and a number for each piece.
pub(super) struct Bar {
    pub name: String,
    /// A shorter label for the plot; the table has the full one.
    pub label: Option<String>,
    pub pieces: Vec<u64>,
}

impl Bar {
    fn total(&self) -> u64 {
        self.pieces.iter().sum()
    }
}

/// Properties common to all plots.
pub(super) struct Plot<'a> {
    /// Prefix of the ids of its elements, unique on the page.
    pub id: &'a str,
    pub title: &'a str,
    /// Heading of the first column of the table.
    pub about: &'a str,
    /// Names of the pieces, which are also the names of their colours.
    pub pieces: &'a [&'a str],
}

impl Plot<'_> {
    /// Draws columns from left to right, as of days.
    pub fn columns(&self, bars: &[Bar]) -> Value {
        let highest = bars.iter().map(Bar::total).max().unwrap_or(0);
        let columns: Vec<_> = (0..)
            .zip(bars)
            .map(|(place, bar)| {
                let mut floor = HEIGHT;
                let pieces: Vec<_> = self
                    .pieces
                    .iter()
                    .zip(&bar.pieces)
                    .map(|(class, number)| {
                        let height = share(*number, highest, HEIGHT).min(floor);
                        floor -= height;
                        rectangle(class, place * COLUMN + 4, floor, COLUMN - 8, height)
                    })
                    .collect();
                context! {
                    name => bar.name.as_str(),
                    label => bar.label.as_ref().unwrap_or(&bar.name).as_str(),
                    x => place * COLUMN + COLUMN / 2,
                    y => HEIGHT + 15,
                    anchor => "middle",
                    pieces => pieces,
                    numbers => &bar.pieces,
                }
            })
            .collect();
        let width = COLUMN * (bars.len() as u64).max(1);
        self.draw(columns, highest, width, HEIGHT + 20)
    }

    /// Draws bars below each other, with their names before them.
    pub fn bars(&self, bars: &[Bar]) -> Value {
        let highest = bars.iter().map(Bar::total).max().unwrap_or(0);
        let rows: Vec<_> = (0..)
            .zip(bars)
            .map(|(place, bar)| {
                let mut start = NAMES;
                let pieces: Vec<_> = self
                    .pieces
                    .iter()
                    .zip(&bar.pieces)
                    .map(|(class, number)| {
                        let length = share(*number, highest, LENGTH);
                        let piece = rectangle(class, start, place * BAR + 3, length, BAR - 6);
                        start += length;
                        piece
                    })
                    .collect();
                context! {
                    name => bar.name.as_str(),
                    label => shorten(&bar.name),
                    x => NAMES - 6,
                    y => place * BAR + BAR - 6,
                    anchor => "end",
                    pieces => pieces,
                    numbers => &bar.pieces,
                }
            })
            .collect();
        let height = BAR * (bars.len() as u64).max(1);
        self.draw(rows, highest, NAMES + LENGTH + 8, height)
    }

    fn draw(&self, bars: Vec<Value>, highest: u64, width: u64, height: u64) -> Value {
        context! {
            id => self.id,
            title => self.title,
            about => self.about,
            pieces => self.pieces.iter().copied().map(Value::from).collect::<Vec<_>>(),
            bars => bars,
            highest => highest,
            width => width,
            height => height,
        }
    }
}

fn rectangle(class: &str, x: u64, y: u64, width: u64, height: u64) -> Value {
    context! { class => class, x => x, y => y, width => width, height => height }
}

/// The length of a piece. A number above zero gets at least one unit, so that it is visible.
fn share(number: u64, highest: u64, of: u64) -> u64 {
    let share = u128::from(number) * u128::from(of) / u128::from(highest.max(1));
    let share = u64::try_from(share).unwrap_or(of);
    if number > 0 { share.max(1) } else { 0 }
}

/// Shortens a name to fit its width; the table has the full one.
fn shorten(name: &str) -> String {
    const MOST: usize = 25;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    let start: String = name.chars().take(MOST - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Plot = Plot {
        id: "x",
        title: "Messages",
        about: "Day",
        pieces: &["accepted", "held", "dropped"],
    };

    fn bar(pieces: [u64; 3]) -> Bar {
        Bar {
            name: "a".repeat(40),
            label: None,
            pieces: pieces.to_vec(),
        }
    }

    fn numbers(value: &Value, bar: usize, piece: usize, names: [&str; 2]) -> [u64; 2] {
        let piece = value
            .get_attr("bars")
            .and_then(|bars| bars.get_item_by_index(bar))
            .and_then(|bar| bar.get_attr("pieces"))
            .and_then(|pieces| pieces.get_item_by_index(piece))
            .expect("a piece");
        names.map(|name| u64::try_from(piece.get_attr(name).expect(name)).expect("a whole number"))
    }

    #[test]
    fn pieces_stand_on_each_other_and_none_leaves_the_plot() {
        let plot = PLOT.columns(&[bar([10, 20, 30]), bar([0, 0, 1_000_000]), bar([1, 0, 0])]);
        assert_eq!(numbers(&plot, 1, 2, ["y", "height"]), [0, HEIGHT]);
        let [y, height] = numbers(&plot, 0, 0, ["y", "height"]);
        assert_eq!(y + height, HEIGHT);
        assert_eq!(
            numbers(&plot, 0, 1, ["y", "height"])[1] + numbers(&plot, 0, 1, ["y", "height"])[0],
            y
        );
        assert_eq!(
            numbers(&plot, 2, 0, ["y", "height"]),
            [HEIGHT - 1, 1],
            "seen"
        );
        assert_eq!(numbers(&plot, 2, 1, ["y", "height"])[1], 0);
    }

    #[test]
    fn bars_go_from_their_names_to_the_right() {
        let plot = PLOT.bars(&[bar([1, 1, 0]), bar([u64::MAX / 4, 0, 0])]);
        assert_eq!(numbers(&plot, 1, 0, ["x", "width"]), [NAMES, LENGTH]);
        let [x, width] = numbers(&plot, 0, 0, ["x", "width"]);
        assert_eq!(numbers(&plot, 0, 1, ["x", "width"])[0], x + width);
        let nothing = PLOT.columns(&[]);
        assert_eq!(nothing.get_attr("highest").ok(), Some(Value::from(0)));
    }
}
