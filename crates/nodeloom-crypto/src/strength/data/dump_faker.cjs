// Prints every string leaf of the chosen faker locales, one JSON object by locale.
// Usage: node dump_faker.cjs PATH_TO_UNPACKED_FAKER > faker.json
const { allLocales } = require(`${process.argv[2]}/dist/index.cjs`);
const out = {};
for (const [name, locale] of Object.entries(allLocales)) {
  const leaves = [];
  const walk = (value, depth) => {
    if (typeof value === 'string') leaves.push(value);
    else if (value && typeof value === 'object' && depth < 8)
      for (const child of Object.values(value)) walk(child, depth + 1);
  };
  for (const [module, content] of Object.entries(locale)) {
    if (['internet', 'system', 'metadata', 'phone_number', 'database'].includes(module)) continue;
    walk(content, 0);
  }
  out[name] = leaves;
}
process.stdout.write(JSON.stringify(out));
