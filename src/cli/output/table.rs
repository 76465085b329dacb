//! Aligned columns within a width.
//!
//! In: cells, already escaped, and the layout of each column. Out: lines. Without a width nothing is shortened. A
//! heading is cut with its column and never broken.

use unicode_width::UnicodeWidthStr;

use super::Layout;
use super::column_widths::{Fitting, GAP, total};
use super::shorten::{cut, wrap};

/// Indentation of a wrapped column below its row.
const INDENT: usize = 6;

/// Title and layout of one column.
#[derive(Debug, Clone, Copy)]
pub struct ColumnLayout {
    pub title: &'static str,
    pub layout: Layout,
    /// Order of removal if the terminal is too narrow: the columns with the highest number are left out first;
    /// those with 0 never.
    pub optional: u8,
}

/// A rendered table.
pub(super) struct Rendered {
    /// Lines of cells; the last cell may continue a wrapped one.
    pub lines: Vec<Vec<Cell>>,
    /// Titles of the columns that were left out.
    pub left_out: Vec<&'static str>,
}

/// Padded text of a column.
pub(super) struct Cell {
    pub before: usize,
    pub text: String,
    pub after: usize,
    pub layout: Layout,
}

/// Renders rows. Shortened times of `now_year` omit the year.
pub(super) fn render(
    columns: &[ColumnLayout],
    header: bool,
    rows: &[Vec<String>],
    width: Option<usize>,
    now_year: &str,
) -> Rendered {
    let mut table = Fitting {
        columns: columns.to_vec(),
        header,
        rows: rows.to_vec(),
        left_out: Vec::new(),
    };
    let mut widths = table.widths();
    if let Some(width) = width {
        if total(&widths) > width {
            table.shorten(now_year);
            widths = table.widths();
        }
        widths = table.fit(widths, width);
    }
    let mut lines = Vec::new();
    if header {
        let titles: Vec<String> = table
            .columns
            .iter()
            .map(|column| column.title.to_uppercase())
            .collect();
        lines.push(line(&table.columns, &titles, &widths));
    }
    for row in &table.rows {
        lines.extend(lines_of(&table.columns, row, &widths, width));
    }
    Rendered {
        lines,
        left_out: table.left_out,
    }
}

fn lines_of(
    columns: &[ColumnLayout],
    row: &[String],
    widths: &[usize],
    width: Option<usize>,
) -> Vec<Vec<Cell>> {
    let values = || columns.iter().zip(row).zip(widths);
    let parts: Vec<Vec<String>> = values()
        .map(|((column, text), width)| match column.layout {
            Layout::Wrapped if *width > 0 && text.width() > *width => wrap(text, *width),
            _ => vec![text.clone()],
        })
        .collect();
    let height = parts.iter().map(Vec::len).max().unwrap_or(1);
    let mut lines: Vec<Vec<Cell>> = (0..height)
        .map(|place| {
            let cells = parts.iter().map(|part| part.get(place).cloned());
            let cells: Vec<String> = cells.map(Option::unwrap_or_default).collect();
            line(columns, &cells, widths)
        })
        .collect();
    let room = width.unwrap_or(usize::MAX).saturating_sub(INDENT).max(1);
    // A missing value gets no line.
    let below = values()
        .filter(|((column, _), width)| column.layout == Layout::Wrapped && **width == 0)
        .map(|((_, text), _)| text)
        .filter(|text| *text != "-");
    lines.extend(
        below
            .flat_map(|text| wrap(text, room))
            .filter(|text| !text.is_empty())
            .map(|text| {
                vec![Cell {
                    before: INDENT,
                    text,
                    after: 0,
                    layout: Layout::Wrapped,
                }]
            }),
    );
    lines
}

fn line(columns: &[ColumnLayout], row: &[String], widths: &[usize]) -> Vec<Cell> {
    let shown = columns.iter().zip(row).zip(widths);
    let cells = shown
        // A column without any value takes no space.
        .filter(|(_, width)| **width > 0)
        .map(|((column, text), width)| {
            let text = cut(text, *width);
            let missing = width.saturating_sub(text.width());
            let (before, after) = match column.layout {
                Layout::Number => (missing, 0),
                _ => (0, missing),
            };
            Cell {
                before,
                text,
                after: after + GAP,
                layout: column.layout,
            }
        });
    cells.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [ColumnLayout; 6] = [
        ColumnLayout {
            title: "id",
            layout: Layout::Id,
            optional: 0,
        },
        ColumnLayout {
            title: "received",
            layout: Layout::Time,
            optional: 0,
        },
        ColumnLayout {
            title: "portal",
            layout: Layout::Whole,
            optional: 2,
        },
        ColumnLayout {
            title: "account",
            layout: Layout::Whole,
            optional: 0,
        },
        ColumnLayout {
            title: "size",
            layout: Layout::Number,
            optional: 1,
        },
        ColumnLayout {
            title: "subject",
            layout: Layout::Text,
            optional: 0,
        },
    ];

    fn rows(account: &str, subject: &str) -> Vec<Vec<String>> {
        let row = [
            "01KB4Z7Q8N0VXB7T3WKE5M2R6C",
            "2026-11-28T21:44:07Z",
            "it",
            account,
            "1.2 KiB",
            subject,
        ];
        vec![row.map(ToOwned::to_owned).to_vec()]
    }

    fn text(rendered: &Rendered) -> Vec<String> {
        let line = |line: &Vec<Cell>| {
            let cells = line.iter().map(|cell| {
                let (before, after) = (" ".repeat(cell.before), " ".repeat(cell.after));
                format!("{before}{}{after}", cell.text)
            });
            cells.collect::<String>().trim_end().to_owned()
        };
        rendered.lines.iter().map(line).collect()
    }

    fn render_at(account: &str, subject: &str, width: usize) -> (Vec<String>, Vec<&'static str>) {
        let rows = rows(account, subject);
        let rendered = render(&COLUMNS, true, &rows, Some(width), "2026");
        for line in text(&rendered) {
            assert!(line.width() <= width, "{width}: {line}");
        }
        (text(&rendered), rendered.left_out)
    }

    #[test]
    fn values_that_fit_are_not_shortened() {
        let (lines, left_out) = render_at("ann@corp.example", "The printer", 120);
        assert_eq!(
            lines[1],
            "01KB4Z7Q8N0VXB7T3WKE5M2R6C  2026-11-28T21:44:07Z  it      ann@corp.example  1.2 KiB  \
             The printer"
        );
        assert!(left_out.is_empty());
    }

    #[test]
    fn ids_and_times_become_short_before_a_column_is_left_out_and_that_before_a_text_is_cut() {
        let (lines, left_out) = render_at("ann@corp.example", "The printer", 80);
        assert_eq!(
            lines[1],
            "KE5M2R6C  11-28 21:44Z  it      ann@corp.example  1.2 KiB  The printer"
        );
        assert!(left_out.is_empty());
        let subject = "The printer on the third floor is on fire again";
        let (lines, left_out) = render_at("a.person.with.a.long.name@corp.example", subject, 80);
        assert_eq!(
            lines[1],
            "KE5M2R6C  11-28 21:44Z  a.person.with.a.long.name@corp.example  The printer on…"
        );
        assert_eq!(left_out, ["portal", "size"]);
    }

    #[test]
    fn no_width_breaks_a_line_or_a_heading() {
        for width in 30..120 {
            for account in ["ann@corp.example", &"x".repeat(200)] {
                let (lines, _) = render_at(account, "漢字の件名 and more", width);
                assert_eq!(lines.len(), 2, "{width}: {lines:?}");
            }
        }
    }

    #[test]
    fn evidence_is_wrapped_beside_or_below_its_row() {
        let columns = [
            ColumnLayout {
                title: "",
                layout: Layout::Whole,
                optional: 0,
            },
            ColumnLayout {
                title: "",
                layout: Layout::Wrapped,
                optional: 0,
            },
        ];
        let evidence = "one two three four five six seven eight nine ten";
        let render_at = |first: &str, width| {
            let rows = [vec![first.to_owned(), evidence.to_owned()]];
            text(&render(&columns, false, &rows, Some(width), "2026"))
        };
        assert_eq!(
            render_at("rule", 32),
            [
                "rule  one two three four five",
                "      six seven eight nine ten"
            ]
        );
        assert_eq!(
            render_at("a rule with a long title", 32),
            [
                "a rule with a long title",
                "      one two three four five",
                "      six seven eight nine ten"
            ]
        );
        let rows = [["a rule with a long title", "-"], ["rule", evidence]];
        let rows = rows.map(|row| row.map(ToOwned::to_owned).to_vec());
        let lines = text(&render(&columns, false, &rows, Some(32), "2026"));
        assert_eq!(lines[..2], ["a rule with a long title", "rule"]);
    }

    #[test]
    fn each_of_several_wrapped_columns_is_beside_or_below_its_row() {
        let wrapped = ColumnLayout {
            title: "",
            layout: Layout::Wrapped,
            optional: 0,
        };
        let columns = [
            ColumnLayout {
                layout: Layout::Number,
                ..wrapped
            },
            wrapped,
            wrapped,
        ];
        let render_at = |rows: &[[&str; 3]], width| {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| row.map(ToOwned::to_owned).to_vec())
                .collect();
            text(&render(&columns, false, &rows, width, "2026"))
        };
        let rows = [
            ["9", "it is a loop", ""],
            [
                "16",
                "mail from some domains is restricted",
                "of evil.example",
            ],
        ];
        assert_eq!(
            render_at(&rows, Some(30)),
            [
                " 9  it is a loop",
                "16  mail from some domains is",
                "    restricted",
                "      of evil.example"
            ]
        );
        assert_eq!(
            render_at(&rows, None),
            [
                " 9  it is a loop",
                "16  mail from some domains is restricted  of evil.example"
            ]
        );
        // No wrapped column becomes too narrow to read, and no other value is cut for it.
        let rows = [["1234567", "connection refused by the server", "it, hr"]];
        assert_eq!(
            render_at(&rows, Some(30)),
            [
                "1234567",
                "      connection refused by",
                "      the server",
                "      it, hr"
            ]
        );
    }
}
