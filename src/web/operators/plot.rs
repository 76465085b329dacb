//! Plots as plain SVG: stacked columns with a scale, or bars beside their names. All numbers are integers in
//! attributes, so a plot needs neither a script nor a style of its own. A plot is for the eye; its figures
//! stand in a table beneath.

use minijinja::{Value, context};

/// Sizes in the plot's own units.
const HEIGHT: u64 = 120;
/// Room above the highest column, for its value.
const TOP: u64 = 16;
/// Width of the scale before the columns.
const SCALE: u64 = 44;
const WIDTH: u64 = 400;
const BAR: u64 = 20;
const LENGTH: u64 = 180;
/// Width of the names of bars, and of the values behind them.
const NAMES: u64 = 200;
const VALUES: u64 = 64;

/// Maximum columns with their values above them, and maximum columns with a label each.
const MAX_VALUES: usize = 14;
const MAX_LABELS: usize = 8;

/// One column or bar: its label, and a number for each piece.
pub(super) struct Bar {
    pub name: String,
    /// A shorter label for the plot; the table has the full one.
    pub label: Option<String>,
    /// Link to the list that the number counts.
    pub link: Option<String>,
    pub pieces: Vec<u64>,
}

impl Bar {
    fn total(&self) -> u64 {
        self.pieces.iter().sum()
    }
}

/// A piece of each bar: the code that its colour is named by, and its plain words.
pub(super) struct Piece<'a> {
    pub class: &'a str,
    pub words: &'a str,
}

/// Properties common to all plots.
pub(super) struct Plot<'a> {
    /// Prefix of the ids of its elements, unique on the page.
    pub id: &'a str,
    pub title: &'a str,
    /// Heading of the first column of the table.
    pub about: &'a str,
    /// Unit of the numbers.
    pub unit: &'a str,
    pub pieces: &'a [Piece<'a>],
}

impl Plot<'_> {
    /// Draws columns from left to right, for example one a day.
    pub fn columns(&self, bars: &[Bar]) -> Value {
        let top = round_up(bars.iter().map(Bar::total).max().unwrap_or(0));
        let count = (bars.len() as u64).max(1);
        let width = WIDTH / count;
        let gap = (width / 6).min(8);
        let step = bars.len().div_ceil(MAX_LABELS).max(1);
        let columns: Vec<_> = (0..)
            .zip(bars)
            .map(|(place, bar)| {
                let x = SCALE + place * WIDTH / count;
                let mut floor = TOP + HEIGHT;
                let pieces: Vec<_> = self
                    .pieces
                    .iter()
                    .zip(&bar.pieces)
                    .map(|(piece, number)| {
                        let height = share(*number, top, HEIGHT).min(floor - TOP);
                        floor -= height;
                        rectangle(piece.class, x + gap, floor, width - 2 * gap, height)
                    })
                    .collect();
                let position = usize::try_from(place).unwrap_or(0);
                // A label stands in the middle of the columns that share it.
                let alike = bars[position..].iter();
                let alike = alike.take_while(|next| bar.label.is_some() && next.label == bar.label);
                let alike = (alike.count() as u64).max(1);
                let total = bar.total();
                context! {
                    label => (position % step == 0).then(|| bar.label.as_ref().unwrap_or(&bar.name).as_str()),
                    // Left out where there is little room; the last is kept.
                    spare => ((bars.len() - 1) / step - position / step) % 2 == 1,
                    x => x + alike * width / 2,
                    y => TOP + HEIGHT + 18,
                    anchor => "middle",
                    value => (bars.len() <= MAX_VALUES && total > 0).then(|| total.to_string()),
                    value_x => x + width / 2,
                    value_y => floor - 4,
                    value_anchor => "middle",
                    pieces => pieces,
                    ..self.of_bar(bar)
                }
            })
            .collect();
        let lines: Vec<_> = [Some(0), top.is_multiple_of(2).then_some(top / 2), Some(top)]
            .into_iter()
            .flatten()
            .map(|number| {
                let y = TOP + HEIGHT - share(number, top, HEIGHT);
                context! { number => number, y => y, text_y => y + 4 }
            })
            .collect();
        self.draw(columns, lines, SCALE + WIDTH, TOP + HEIGHT + 24)
    }

    /// Draws bars below each other, with their names before and their values behind them.
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
                    .map(|(piece, number)| {
                        let length = share(*number, highest, LENGTH);
                        let drawn = rectangle(piece.class, start, place * BAR + 3, length, BAR - 6);
                        start += length;
                        drawn
                    })
                    .collect();
                context! {
                    label => shorten(&bar.name),
                    spare => false,
                    x => NAMES - 6,
                    y => place * BAR + BAR - 6,
                    anchor => "end",
                    value => bar.total().to_string(),
                    value_x => start + 6,
                    value_y => place * BAR + BAR - 6,
                    value_anchor => "start",
                    pieces => pieces,
                    ..self.of_bar(bar)
                }
            })
            .collect();
        let height = BAR * (bars.len() as u64).max(1);
        self.draw(rows, Vec::new(), NAMES + LENGTH + VALUES, height)
    }

    /// The row of the table, and the tooltip.
    fn of_bar(&self, bar: &Bar) -> Value {
        let numbers = self.pieces.iter().zip(&bar.pieces);
        let parts: Vec<_> = match self.pieces {
            [_] => vec![format!("{} {}", bar.total(), self.unit)],
            _ => numbers
                .map(|(piece, number)| format!("{}: {number}", piece.words))
                .collect(),
        };
        context! {
            name => bar.name.as_str(),
            tip => format!("{}: {}", bar.name, parts.join(", ")),
            link => bar.link.as_deref(),
            numbers => &bar.pieces,
        }
    }

    fn draw(&self, bars: Vec<Value>, lines: Vec<Value>, width: u64, height: u64) -> Value {
        let pieces = self.pieces.iter();
        context! {
            id => self.id,
            title => self.title,
            about => self.about,
            unit => self.unit,
            pieces => pieces
                .map(|piece| context! { class => piece.class, words => piece.words })
                .collect::<Vec<_>>(),
            bars => bars,
            lines => lines,
            from => SCALE,
            width => width,
            height => height,
        }
    }
}

fn rectangle(class: &str, x: u64, y: u64, width: u64, height: u64) -> Value {
    context! { class => class, x => x, y => y, width => width, height => height }
}

/// The top of a scale: the next number that is 1, 2, 4, 5, 6 or 8 times a power of ten.
fn round_up(number: u64) -> u64 {
    let mut unit = 1;
    loop {
        let steps = [1, 2, 4, 5, 6, 8].map(|step: u64| step.saturating_mul(unit));
        if let Some(end) = steps.into_iter().find(|end| *end >= number) {
            return end;
        }
        unit = unit.saturating_mul(10);
    }
}

/// The length of a piece. A number above zero gets at least one unit, so that it is visible.
fn share(number: u64, highest: u64, of: u64) -> u64 {
    let share = u128::from(number) * u128::from(of) / u128::from(highest.max(1));
    let share = u64::try_from(share).unwrap_or(of);
    if number > 0 { share.max(1) } else { 0 }
}

/// Shortens a name to fit its width; the table has the full one.
fn shorten(name: &str) -> String {
    const MAX_LENGTH: usize = 22;
    if name.chars().count() <= MAX_LENGTH {
        return name.to_owned();
    }
    let start: String = name.chars().take(MAX_LENGTH - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Plot = Plot {
        id: "x",
        title: "Messages",
        about: "Day",
        unit: "messages",
        pieces: &[
            Piece {
                class: "accepted",
                words: "Accepted",
            },
            Piece {
                class: "held",
                words: "Held",
            },
            Piece {
                class: "dropped",
                words: "Dropped",
            },
        ],
    };

    fn bar(pieces: [u64; 3]) -> Bar {
        Bar {
            name: "a".repeat(40),
            label: None,
            link: None,
            pieces: pieces.to_vec(),
        }
    }

    fn at(value: &Value, place: usize) -> Value {
        value
            .get_attr("bars")
            .and_then(|bars| bars.get_item_by_index(place))
            .expect("a bar")
    }

    fn numbers(value: &Value, bar: usize, piece: usize, names: [&str; 2]) -> [u64; 2] {
        let piece = at(value, bar)
            .get_attr("pieces")
            .and_then(|pieces| pieces.get_item_by_index(piece))
            .expect("a piece");
        names.map(|name| u64::try_from(piece.get_attr(name).expect(name)).expect("a whole number"))
    }

    #[test]
    fn pieces_stand_on_each_other_and_none_leaves_the_plot() {
        let plot = PLOT.columns(&[bar([10, 20, 30]), bar([0, 0, 1_000_000]), bar([1, 0, 0])]);
        assert_eq!(numbers(&plot, 1, 2, ["y", "height"]), [TOP, HEIGHT]);
        let [y, height] = numbers(&plot, 0, 0, ["y", "height"]);
        assert_eq!(y + height, TOP + HEIGHT);
        let [next, high] = numbers(&plot, 0, 1, ["y", "height"]);
        assert_eq!(next + high, y);
        assert_eq!(
            numbers(&plot, 2, 0, ["y", "height"]),
            [TOP + HEIGHT - 1, 1],
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
        assert_eq!(
            PLOT.columns(&[]).get_attr("bars").expect("bars").len(),
            Some(0)
        );
    }

    #[test]
    fn a_plot_has_values_a_scale_and_its_unit() {
        let plot = PLOT.columns(&[bar([10, 20, 7])]);
        let text = |name: &str| at(&plot, 0).get_attr(name).expect(name).to_string();
        assert_eq!(text("value"), "37");
        assert!(text("tip").ends_with(": Accepted: 10, Held: 20, Dropped: 7"));
        let lines: Vec<_> = plot
            .get_attr("lines")
            .and_then(|lines| lines.try_iter())
            .expect("lines")
            .map(|line| line.get_attr("number").expect("a number").to_string())
            .collect();
        assert_eq!(lines, ["0", "20", "40"]);
        // Many columns have a scale only, and every few of them a label.
        let many: Vec<_> = (0..30).map(|_| bar([1, 0, 0])).collect();
        let plot = PLOT.columns(&many);
        assert!(at(&plot, 0).get_attr("value").expect("a value").is_none());
        let labels = (0..30).filter(|n| !at(&plot, *n).get_attr("label").expect("it").is_none());
        assert_eq!(labels.count(), 8);
        let spares = (0..30).filter(|n| at(&plot, *n).get_attr("spare").expect("it").is_true());
        let spares: Vec<_> = spares.filter(|n| n % 4 == 0).collect();
        assert_eq!(spares, [0, 8, 16, 24], "every other, and not the last");
        // Four columns of one day.
        let day = |n: u64| Bar {
            label: Some((n / 4).to_string()),
            ..bar([1, 0, 0])
        };
        let days: Vec<_> = (0..28).map(day).collect();
        let plot = PLOT.columns(&days);
        let middle = |n: usize| u64::try_from(at(&plot, n).get_attr("x").expect("x"));
        assert_eq!(
            middle(4).expect("a number"),
            SCALE + 4 * WIDTH / 28 + 2 * (WIDTH / 28)
        );
        for (number, end) in [
            (0, 1),
            (1, 1),
            (3, 4),
            (9, 10),
            (37, 40),
            (61, 80),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(round_up(number), end);
        }
    }
}
