// The parts of Grafana's published schema that our dashboards are held to.
import type * as core from './node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as lines from './node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
export type KeptDashboard = core.Dashboard;
export type KeptStat = stat.Options;
export type KeptTimeseries = lines.Options;
export type KeptTimeseriesField = lines.FieldConfig;
