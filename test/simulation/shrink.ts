import type { Outcome, Schedule } from './run-schedule.ts';

/**
 * Makes a schedule that breaks a rule as short and as tame as it can, and still breaking the same rule: leaves steps out, in large
 * pieces first, then lowers what is left. Any list of numbers is a schedule, so nothing can go wrong by that.
 */
export async function shrink(
  failed: Outcome,
  run: (schedule: Schedule) => Promise<Outcome>,
  attemptsMax = 4000,
): Promise<{ outcome: Outcome; attempts: number }> {
  const rule = failed.violation?.rule;
  let best = failed;
  let attempts = 0;
  const isBroken = async (schedule: Schedule): Promise<boolean> => {
    if (attempts >= attemptsMax) return false;
    attempts += 1;
    const outcome = await run(schedule);
    if (outcome.violation?.rule !== rule) return false;
    // Only as far as it ran: what came behind the violation has no part in it.
    best = {
      ...outcome,
      schedule: { ...schedule, steps: schedule.steps.slice(0, outcome.schedule.steps.length) },
    };
    return true;
  };
  await isBroken(failed.schedule);
  let isBetter = true;
  while (isBetter) {
    isBetter = false;
    for (let piece = Math.max(1, best.schedule.steps.length >> 1); piece >= 1; piece >>= 1) {
      for (let at = best.schedule.steps.length - piece; at >= 0; at -= piece) {
        const { steps, profile } = best.schedule;
        if (at + piece > steps.length) continue;
        if (await isBroken({ profile, steps: [...steps.slice(0, at), ...steps.slice(at + piece)] }))
          isBetter = true;
      }
    }
    if (await lower(() => best.schedule, isBroken)) isBetter = true;
  }
  return { outcome: best, attempts };
}

/** Tries each number as 0, each step as the tamest one. */
async function lower(
  now: () => Schedule,
  isBroken: (schedule: Schedule) => Promise<boolean>,
): Promise<boolean> {
  let isBetter = false;
  const tryTo = async (schedule: Schedule): Promise<void> => {
    if (await isBroken(schedule)) isBetter = true;
  };
  for (let at = 0; at < now().profile.length; at += 1) {
    if (now().profile[at] !== 0) await tryTo({ ...now(), profile: now().profile.with(at, 0) });
  }
  for (let step = now().steps.length - 1; step >= 0; step -= 1) {
    const draws = now().steps[step];
    if (draws === undefined || draws.every((draw) => draw === 0)) continue;
    await tryTo({ ...now(), steps: now().steps.with(step, []) });
    for (let at = 1; at < (now().steps[step]?.length ?? 0); at += 1) {
      const own = now().steps[step];
      if (own === undefined || own[at] === 0) continue;
      await tryTo({ ...now(), steps: now().steps.with(step, own.with(at, 0)) });
    }
  }
  return isBetter;
}
