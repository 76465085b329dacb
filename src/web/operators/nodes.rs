//! `/nodes`: the daemons that share the store, and how they differ.

use minijinja::context;

use super::auth::PageCall;
use super::error::Error;
use super::when;
use crate::operations::{count_nodes, list_nodes};
use crate::store::MAX_CLOCK_OFFSET;
use crate::web::display::one_line;
use crate::web::page::WebPage;

pub(super) async fn list(call: PageCall) -> Result<WebPage, Error> {
    let nodes = list_nodes(call.app.store()).await?;
    let (present, differing) = count_nodes(&nodes);
    let own = call.app.store().node_id();
    let rows: Vec<_> = nodes
        .iter()
        .map(|node| {
            let offset = node.clock_offset.unsigned_abs();
            context! {
                id => node.id.as_str(),
                name => one_line(&node.name),
                is_own => node.id == own,
                version => node.version.as_str(),
                started_at => when(node.started_at),
                seen_at => when(node.seen_at),
                present => node.present,
                seconds => offset / 1000,
                tenths => offset % 1000 / 100,
                is_behind => node.clock_offset < 0,
                is_off => u128::from(offset) > MAX_CLOCK_OFFSET.as_millis(),
                duties => node.duties.iter().map(|duty| duty.replace('_', " ")).collect::<Vec<_>>(),
                configuration => node.configuration.chars().take(8).collect::<String>(),
                differs => node.differs.clone(),
            }
        })
        .collect();
    Ok(call.operator.page(
        "operators/nodes.html",
        context! {
            rows => rows,
            present => present,
            differing => differing,
            is_shared => call.app.store().duty_interval().is_some(),
        },
    ))
}
