/** A promise that was broken. `rule` names it in few words, the same for all schedules that break it alike. */
export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, facts = '') {
    super(facts === '' ? rule : `${rule}: ${facts}`);
    this.rule = rule;
  }
}
