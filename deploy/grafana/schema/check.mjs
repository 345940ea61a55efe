// node check.mjs DASHBOARD.json...: one JSON object, file to its errors. The schema is open, as Grafana's own is: what it does not name is allowed.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const ajv = new Ajv({ allErrors: true, strict: false });
const validator = (type) =>
  ajv.compile(createGenerator({ path: 'kept.ts', type, skipTypeCheck: true, additionalProperties: true }).createSchema(type));
const dashboard = validator('KeptDashboard');
const options = { stat: validator('KeptStat'), timeseries: validator('KeptTimeseries') };
const field = validator('KeptTimeseriesField');

const found = {};
for (const path of process.argv.slice(2)) {
  const board = JSON.parse(readFileSync(path, 'utf8'));
  const errors = (found[basename(path)] = []);
  const hold = (validate, value, where) =>
    validate(value) || errors.push(...validate.errors.map((error) => `${where}${error.instancePath}: ${error.message}`));
  hold(dashboard, board, '');
  for (const panel of board.panels) {
    if (!(panel.type in options)) errors.push(`${panel.title}: no schema for a panel of type ${panel.type}`);
    else hold(options[panel.type], panel.options, panel.title);
    if (panel.type === 'timeseries') hold(field, panel.fieldConfig.defaults.custom, panel.title);
  }
}
console.log(JSON.stringify(found));
