//! Panels of a dashboard, and their places.
//!
//! `rows` makes them.
//! Invariant: panels have ids of their own and do not overlap.

use serde_json::{Value, json};

/// The data source that the viewer has chosen.
pub(super) fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// The kind of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PanelKind {
    /// Lines over time.
    Lines,
    /// 1 as `yes`, 0 as `no`.
    YesNo,
}

/// A panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) about: &'static str,
    pub(super) kind: PanelKind,
    /// The unit by Grafana's name.
    pub(super) unit: &'static str,
    /// Expressions with the names of their lines.
    pub(super) queries: Vec<(String, String)>,
    /// A limit to draw, and whether values below it are good.
    pub(super) limit: Option<(f64, bool)>,
}

/// A row of panels.
#[derive(Clone, Debug)]
pub(super) struct PanelRow {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

impl Panel {
    /// Lines over time.
    pub(super) fn lines<N: Into<String>>(
        title: &str,
        unit: &'static str,
        queries: impl IntoIterator<Item = (String, N)>,
    ) -> Self {
        Self {
            title: title.to_owned(),
            about: "",
            kind: PanelKind::Lines,
            unit,
            queries: queries.into_iter().map(|(expr, name)| (expr, name.into())).collect(),
            limit: None,
        }
    }

    /// Adds a sentence about the panel.
    #[must_use]
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Shows it otherwise.
    #[must_use]
    pub(super) fn kind(self, kind: PanelKind) -> Self {
        Self { kind, ..self }
    }

    fn json(&self, id: usize, place: &Value) -> Value {
        let queries = self.queries.iter().enumerate().map(|(index, (expr, name))| {
            json!({
                "refId": format!("Q{index}"), "datasource": source(), "expr": expr,
                "legendFormat": name, "range": self.kind == PanelKind::Lines,
                "instant": self.kind != PanelKind::Lines, "editorMode": "code",
            })
        });
        let mut defaults = json!({ "unit": self.unit, "color": { "mode": "palette-classic" } });
        if self.kind == PanelKind::YesNo {
            defaults["color"] = json!({ "mode": "thresholds" });
            defaults["thresholds"] = steps("red", "green", 1.0);
            defaults["mappings"] = json!([{ "type": "value", "options": {
                "0": { "text": "no", "index": 0 }, "1": { "text": "yes", "index": 1 },
            } }]);
        }
        if self.kind == PanelKind::Lines {
            defaults["custom"] = json!({ "drawStyle": "line", "lineWidth": 1, "fillOpacity": 0 });
        }
        if let Some((limit, is_upper)) = self.limit {
            defaults["custom"]["thresholdsStyle"] = json!({ "mode": "line" });
            let (below, above) = if is_upper { ("green", "red") } else { ("red", "green") };
            defaults["thresholds"] = steps(below, above, limit);
        }
        let (kind, options) = match self.kind {
            PanelKind::Lines => (
                "timeseries",
                json!({
                    "legend": {
                        "displayMode": "list", "placement": "bottom", "showLegend": true,
                        "calcs": [],
                    },
                    "tooltip": { "mode": "multi", "sort": "desc" },
                }),
            ),
            PanelKind::YesNo => (
                "stat",
                json!({
                    "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                    "textMode": "value_and_name", "colorMode": "value", "graphMode": "none",
                    "justifyMode": "auto", "orientation": "auto",
                }),
            ),
        };
        json!({
            "id": id, "type": kind, "title": self.title, "description": self.about,
            "datasource": source(), "gridPos": place,
            "targets": queries.collect::<Vec<_>>(),
            "fieldConfig": { "defaults": defaults, "overrides": [] },
            "options": options,
        })
    }
}

fn steps(below: &str, above: &str, limit: f64) -> Value {
    json!({ "mode": "absolute", "steps": [
        { "color": below, "value": null },
        { "color": above, "value": limit },
    ] })
}

/// The width of the grid, and the size of a panel in it.
const GRID: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 8;

/// Gives panels their ids and places.
pub(super) fn layout(rows: Vec<PanelRow>) -> Vec<Value> {
    let (mut all, mut top) = (Vec::new(), 0);
    for row in rows.into_iter().filter(|row| !row.panels.is_empty()) {
        all.push(json!({
            "id": all.len() + 1, "type": "row", "title": row.title, "collapsed": false,
            "gridPos": { "x": 0, "y": top, "w": GRID, "h": 1 }, "panels": [],
        }));
        top += 1;
        let columns = GRID / WIDTH;
        for (index, panel) in row.panels.iter().enumerate() {
            let (x, y) = (index % columns * WIDTH, top + index / columns * HEIGHT);
            let place = json!({ "x": x, "y": y, "w": WIDTH, "h": HEIGHT });
            all.push(panel.json(all.len() + 1, &place));
        }
        top += row.panels.len().div_ceil(columns) * HEIGHT;
    }
    all
}
