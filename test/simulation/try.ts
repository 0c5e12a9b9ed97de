import { register } from 'node:module';
register('./resolve-fakes.mjs', import.meta.url);
const { runSeed, runSchedule } = await import('./run-schedule.ts');
const { installVirtualTime } = await import('./virtual-time.ts');
const t0 = Date.now(); if (Number(process.argv[3] ?? 1) > 1) Error.stackTraceLimit = 0; const c0 = process.cpuUsage();
installVirtualTime();
const from = Number(process.argv[2] ?? 1), count = Number(process.argv[3] ?? 1);
const rules = new Map<string, number[]>();
const halts = new Map<string, number>();
let steps = 0, events = 0;
for (let seed = from; seed < from + count; seed++) {
  const o = await runSeed(seed);
  steps += o.stepCount; events += o.events;
  halts.set(o.halt ?? 'ok', (halts.get(o.halt ?? 'ok') ?? 0) + 1);
  if (o.violation) {
    const l = rules.get(o.violation.rule) ?? []; l.push(seed); rules.set(o.violation.rule, l);
    if (count === 1) { const again = await runSchedule(o.schedule, true); console.log(again.trace.join('\n')); console.log(o.violation.stack); }
  } else if (count === 1) { const again = await runSchedule(o.schedule, true); console.log(again.trace.join('\n')); }
}
for (const [r, l] of rules) console.log(l.length, r, l.slice(0, 8).join(' '));
console.log(halts, { steps, events, ms: Date.now() - t0, cpuMs: (process.cpuUsage(c0).user + process.cpuUsage(c0).system) / 1000 });
